from __future__ import annotations

import pytest
import torch

from r2gen_lib.errors import CheckpointError
from r2gen_lib.model.alignment import VisualMapper
from r2gen_lib.model.mapper_size import resized


def mapper(tokens: int, rank: int, **settings) -> VisualMapper:
    torch.manual_seed(tokens + rank)
    made = VisualMapper(12, 10, tokens=tokens, bias=True, rank=rank, scale=2.0, **settings)
    if rank:
        torch.nn.init.normal_(made.token_up)
    torch.nn.init.normal_(made.token_bias)
    return made


def start(new: VisualMapper, old: VisualMapper) -> VisualMapper:
    new.load_state_dict(resized(old.state_dict(), new.state_dict(), "the old one"))
    return new


def test_a_mapper_of_the_same_size_stays_as_it_is():
    old = mapper(16, 3)
    features = torch.randn(2, 16, 12)
    assert torch.equal(start(mapper(16, 3), old)(features), old(features))


def test_a_larger_rank_changes_nothing():
    old = mapper(16, 3)
    features = torch.randn(2, 16, 12)
    assert torch.allclose(start(mapper(16, 5), old)(features), old(features), atol=1e-5)


def test_a_smaller_rank_keeps_what_counts_most():
    """Of two directions, one a hundred times as strong, the strong one stays."""
    old = mapper(4, 2)
    with torch.no_grad():
        old.token_up[:, 1] *= 0.01
    features = torch.randn(2, 4, 12)
    assert torch.allclose(start(mapper(4, 1), old)(features), old(features), atol=0.1)


def test_a_token_of_a_finer_grid_starts_as_its_neighbours():
    """Corners are the old corners, a middle between two is their mean."""
    old, new = mapper(4, 0), mapper(9, 0)
    start(new, old)
    first, second, third, fourth = old.token_bias
    assert torch.allclose(new.token_bias[0], first) and torch.allclose(new.token_bias[8], fourth)
    assert torch.allclose(new.token_bias[1], (first + second) / 2, atol=1e-6)
    assert torch.allclose(new.token_bias[4], (first + second + third + fourth) / 4, atol=1e-6)


def test_mappers_that_differ_in_kind_are_refused():
    with pytest.raises(CheckpointError, match="the old one: its mapper has nothing of single tokens"):
        start(mapper(16, 3), VisualMapper(12, 10))
