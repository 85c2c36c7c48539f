from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tiny_system import PROFILE, TINY, tiny_model, tiny_studies

from r2gen_lib import cli
from r2gen_lib.errors import R2GenError
from r2gen_lib.training.rare_findings.repeat_sampling import balanced, repeat_factors
from r2gen_lib.training.trainer import train

pytestmark = pytest.mark.usefixtures("empty_cache")
NORMAL, EFFUSION = "The lungs are clear. The heart is normal in size.", "There is a left pleural effusion."


def with_reports(reports):
    return [replace(tiny_studies(3)[0], id=f"s{row}", report=text) for row, text in enumerate(reports)]


def test_the_rarest_label_decides_and_common_ones_ask_for_nothing():
    labels = np.zeros((100, 3), dtype=bool)
    labels[:50, 0] = True  # common
    labels[:4, 1] = True  # 4 in 100
    labels[:1, 2] = True  # 1 in 100
    factors = repeat_factors(labels, 0.16)
    assert factors[0] == pytest.approx(4)  # sqrt(0.16 / 0.01)
    assert factors[1:4] == pytest.approx(2)
    assert (factors[4:] == 1).all()


def test_no_labels_at_all_leave_every_study_once():
    assert (repeat_factors(np.zeros((5, 3), dtype=bool), 0.2) == 1).all()


def test_studies_with_a_rare_finding_come_more_often_and_none_is_lost():
    studies = with_reports([EFFUSION] * 4 + [NORMAL] * 96)
    seen = Counter(study.id for study in balanced(studies, 0.09))
    assert set(seen) == {study.id for study in studies}
    assert all(seen[f"s{row}"] == 1 for row in range(4, 100))
    assert all(seen[f"s{row}"] in (1, 2) for row in range(4))  # asked for: sqrt(0.09 / 0.04) = 1.5 times


def test_a_denied_finding_is_none():
    studies = with_reports(["There is no pleural effusion."] * 3 + [NORMAL] * 97)
    assert len(balanced(studies, 0.2)) == 100


def test_the_seed_decides_what_a_fraction_gets():
    studies = with_reports([EFFUSION] * 40 + [NORMAL] * 960)
    first, again, other = (balanced(studies, 0.09, seed) for seed in (0, 0, 1))
    assert [s.id for s in first] == [s.id for s in again] != [s.id for s in other]
    assert len(first) == pytest.approx(1020, abs=12)  # 40 studies 1.5 times


def test_an_epoch_is_longer_by_what_is_repeated_and_validation_is_not(tmp_path):
    studies = tiny_studies(48)  # half of them with a large heart and an effusion, so that 1 asks for sqrt(2) of these
    lengths, profile = {}, replace(PROFILE, train_steps=None)
    for balance in (None, 1.0):
        preset = replace(TINY, optim=replace(TINY.optim, balance=balance))
        result = train(tiny_model(), studies, preset, profile, tmp_path / str(balance), progress=False)
        lengths[balance] = result.history["step"].max()
    assert lengths[None] == 8 and lengths[1.0] in (9, 10, 11)


@pytest.mark.parametrize("balance", [0.0, -1.0, 20.0])
def test_what_is_no_share_is_refused(balance):
    with pytest.raises(R2GenError, match="optim.balance: found .* expected a number (greater|less) than"):
        replace(TINY.optim, balance=balance)


def test_the_command_refuses_it_too(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--balance", "20"])
    assert "--balance: found 20, expected a number over 0 and at most 1" in capsys.readouterr().err
