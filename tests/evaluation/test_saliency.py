from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_system import tiny_model

from r2gen_lib import R2GenGPT
from r2gen_lib.errors import DataError, R2GenError
from r2gen_lib.evaluation.counterfactual.likelihood import log_odds
from r2gen_lib.evaluation.counterfactual.pairs import NORMAL, Exposure, Pair
from r2gen_lib.evaluation.counterfactual.pointing import (
    body_of,
    format_pointing,
    point_of,
    pointing_game,
    pointing_table,
    save_pointing,
    target_of,
)
from r2gen_lib.evaluation.counterfactual.run import run_pairs
from r2gen_lib.evaluation.counterfactual.saliency import METHODS, method_names, saliency_maps
from r2gen_lib.evaluation.counterfactual.tables import stages
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import Finding

HEART, FLUID = CASES["Cardiomegaly"], CASES["Pleural Effusion"]


class Squares(torch.nn.Module):
    """An encoder whose tokens are the mean grey of 7 x 7 squares."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pixels[:, 0, :1], 32).flatten(2).transpose(1, 2)  # (B, 49, 1)


class Looker:
    """Stands in for a model that looks at one of 7 x 7 squares and nowhere else: bright there speaks for a finding."""

    device, training, ends = "cpu", False, [1]
    evaluating = R2GenGPT.evaluating

    def __init__(self, place: int = 40) -> None:
        self.place, self.vision = place, Squares()
        self.preset = SimpleNamespace(
            name="looker", vision=SimpleNamespace(weights=None, image_size=224, mean=0.5, std=0.5, fit="pad")
        )

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vision(pixels)

    def __call__(self, features: torch.Tensor, reports: list[str]) -> SimpleNamespace:
        said = features[:, self.place, 0] if reports[0] == FLUID.present else 0 * features[:, 0, 0]
        logits = torch.stack([said, torch.zeros_like(said)], dim=1)
        count = len(features)
        return SimpleNamespace(logits=logits, labels=torch.zeros(count, dtype=torch.long), rows=torch.arange(count))


@pytest.mark.parametrize("method", ["tokens", "picture", "occlusion"])
def test_a_map_points_at_what_the_model_looks_at(method):
    pictures = [np.full((224, 224), 200, np.uint8), np.full((224, 224), 180, np.uint8)]
    maps = saliency_maps(Looker(place=40), pictures, FLUID, method)
    assert maps.shape == (2, 224, 224) and np.isfinite(maps).all()
    for one in maps:
        down, across = np.unravel_index(one.argmax(), one.shape)
        assert (down // 32, across // 32) == (5, 5)  # token 40 of 7 x 7


def test_methods_are_named_and_head_needs_a_finding_head():
    model = tiny_model()
    assert method_names(model, HEART) == ("tokens", "picture")
    with pytest.raises(R2GenError, match="tokens, picture, occlusion, head"):
        saliency_maps(model, [], FLUID, "guess")
    with pytest.raises(R2GenError, match="laptop's encoder"):
        saliency_maps(model, [np.zeros((40, 40), np.uint8)], FLUID, "head")


def test_the_tiny_system_has_maps_and_is_left_as_it_was():
    model = tiny_model("delta").train()
    picture = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    for method in ("tokens", "picture", "occlusion"):
        maps = saliency_maps(model, [picture], FLUID, method)
        assert maps.shape == (1, 32, 32) and np.ptp(maps) > 0
    assert model.training and all(p.grad is None for p in model.parameters())


def test_log_odds_are_the_difference_of_the_sentences_nats():
    model = tiny_model()
    features = model.encode(torch.randn(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    odds = log_odds(model, features, "left effusion .", "normal .")
    assert torch.allclose(odds, -log_odds(model, features, "normal .", "left effusion ."))
    out = model(features=features[:1], reports=["normal ."])
    kept = out.labels != model.tokenizer.eos_token_id
    nats = torch.nn.functional.cross_entropy(out.logits, out.labels, reduction="none")[kept].sum()
    out = model(features=features[:1], reports=["left effusion ."])
    kept = out.labels != model.tokenizer.eos_token_id
    nats = nats - torch.nn.functional.cross_entropy(out.logits, out.labels, reduction="none")[kept].sum()
    assert odds[0].item() == pytest.approx(nats.item(), abs=1e-4)


def put_in(case, finding: Finding, patients=("N0", "N1")) -> list[Pair]:
    return [Pair(NORMAL, case, Exposure(patient), Exposure(patient, (finding,))) for patient in patients]


def test_the_game_gives_rate_chance_and_the_rate_without_it(tmp_path):
    pairs = put_in(FLUID, Finding("Pleural Effusion", "left", severity=0.8))
    drawn = pairs[0].with_.draw(truth=True)
    target, body = target_of(drawn, "Pleural Effusion"), body_of(drawn.picture)
    assert 0.02 < target[body].mean() < 0.5 and 0.6 < body.mean() <= 1
    peak = point_of(drawn.truth[0].mask, body)
    assert target[peak]
    place = peak[0] // 32 * 7 + peak[1] // 32
    played = pointing_game(Looker(place), pairs, ("picture",), keep=1)
    row = pointing_table(played).loc[("Pleural Effusion", "picture")]
    assert (row.pairs, row.hits) == (2, 2) and row.rate == 1 and row["rate low"] == pytest.approx(0.342, abs=1e-3)
    assert row["rate without it"] == 1  # it points there without the finding too: the control shows it
    assert row.chance == pytest.approx(played.rows.chance.mean()) and "picture" in format_pointing(played)
    nowhere = pointing_game(Looker(0), pairs, ("picture",)).rows
    assert not nowhere.hit.any()
    save_pointing(played, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"pointing.csv", "pointing.png"}
    with pytest.raises(DataError, match="put in"):
        pointing_game(Looker(), [])


@pytest.mark.slow
def test_the_laptop_model_sees_a_large_heart_and_its_finding_head_points_at_it():
    model = R2GenGPT.from_trained("laptop-shallow", device="cpu")
    pairs = put_in(HEART, Finding("Cardiomegaly", severity=1.0))
    result = run_pairs(model, pairs, progress=False, max_new_tokens=4)
    assert (result.rows["log-odds with"] > result.rows["log-odds without"]).all()
    assert (result.rows["head with"] > result.rows["head without"]).all()
    assert stages(result).loc["Cardiomegaly", "finding head"] == 1
    assert method_names(model, HEART) == tuple(name for name in METHODS if name != "occlusion")
    new = replace(HEART, finding="Fungus Ball")  # which its head has not learnt
    assert method_names(model, new) == ("tokens", "picture")
    with pytest.raises(R2GenError, match="Fungus Ball is not among the findings that the shipped head has learnt"):
        saliency_maps(model, [np.zeros((224, 224), np.uint8)], new, "head")
    played = pointing_game(model, pairs)
    head = played.rows[played.rows.method == "head"]
    assert head.hit.all() and set(played.rows.method) == {"tokens", "picture", "head"}
    maps = played.examples[0][1]
    assert all(one.shape == (224, 224) and np.isfinite(one).all() for one in maps.values())
