from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_system import PROFILE, REPORTS, TINY, tiny_language

from r2gen_lib import load_studies
from r2gen_lib.config import PRESETS
from r2gen_lib.data.study import Study, by_split
from r2gen_lib.errors import R2GenError
from r2gen_lib.findings.finding import Finding
from r2gen_lib.inference.generate_reports import describe_blank, describe_studies
from r2gen_lib.model.oracle_encoder import TOKENS, OracleEncoder, with_oracle
from r2gen_lib.model.r2gengpt import R2GenGPT
from r2gen_lib.training.trainer import train


def oracle_model(**changes) -> R2GenGPT:
    return R2GenGPT.from_preset(with_oracle(replace(TINY, **changes)), language=tiny_language(), device="cpu")


def told_studies(count: int = 24) -> list[Study]:
    """Studies without pictures: every second one has a finding, and the report that names it."""
    large = (Finding("Cardiomegaly", severity=0.5), Finding("Pleural Effusion", "left"))
    kinds = [("normal", ()), ("large", large)]
    return [
        Study(f"T{i}", "train" if i < count * 2 // 3 else "val", REPORTS[kinds[i % 2][0]], findings=kinds[i % 2][1])
        for i in range(count)
    ]


def test_every_token_is_told_every_finding():
    oracle = OracleEncoder(with_oracle(TINY).vision)
    findings = [(Finding("Opacity", side, "base", 0.3), Finding("Device")) for side in ("left", "right")]
    studies = [Study("A", "train", "x", findings=each) for each in findings]
    left, right, none = oracle.features([*studies, Study("N", "train", "x")])
    assert left.shape == (TOKENS, oracle.width) and not none.any() and torch.equal(left[0], left[1])
    assert (left[0] != right[0]).sum() == 2  # one column set, another not
    assert left[0].sum() == pytest.approx(4.3, abs=1e-2)  # two names, a side, a zone, and how severe


def test_studies_of_the_benchmark_with_other_findings_look_different():
    studies = load_studies("openi_sim")
    features = OracleEncoder(with_oracle(PRESETS["laptop"]).vision).features(studies)
    assert (features[:, 0].any(dim=1) == torch.tensor([bool(s.findings) for s in studies])).all()


def test_it_learns_to_write_what_it_is_told_and_is_kept(tmp_path):
    model, studies = oracle_model(mapper=replace(TINY.mapper, bias=True)), told_studies()
    result = train(model, studies, profile=replace(PROFILE, train_steps=40), out_dir=tmp_path, progress=False)
    assert result.best["val_loss"] < result.best["val_loss_shuffled"] - 0.3
    again = R2GenGPT.from_trained(result.checkpoint, language=tiny_language(), device="cpu")
    held_out = by_split(studies, "val")
    written = describe_studies(again, held_out, progress=False)
    assert written == describe_studies(model, held_out, progress=False)
    assert written["T16"] == describe_blank(again) != written["T17"]


def test_it_reads_no_pictures_and_has_nothing_to_train():
    with pytest.raises(R2GenError, match="oracle encoder: it reads a study's findings, not pictures"):
        oracle_model().encode(torch.zeros(1, 1, 3, 32, 32))
    with pytest.raises(R2GenError, match="oracle encoder: mode is delta, expected shallow"):
        R2GenGPT.from_preset(with_oracle(TINY), "delta", language=tiny_language(), device="cpu")
