from __future__ import annotations

from pathlib import Path

import pytest

from r2gen_lib import cli
from r2gen_lib.evaluation.labeler_quality import CODED, coded, quality_table


@pytest.mark.parametrize(
    ("code", "observations"),
    [
        ("Pleural Effusion/left/small", ["Pleural Effusion"]),
        ("Hydropneumothorax/left", ["Pneumothorax", "Pleural Effusion"]),
        ("Opacity/lung/base/left", ["Lung Opacity"]),
        ("Opacity/lung/upper lobe/right/round", ["Lung Lesion"]),
        ("Opacity/pleura/apex", []),
        ("Calcified Granuloma/lung/base/right", []),
        ("Cardiac Shadow/enlarged/mild", ["Cardiomegaly"]),
        ("Cardiac Shadow/borderline", []),
        ("Cicatrix/pleura/apex", ["Pleural Other"]),
        ("Deformity/ribs/right", []),
        ("normal", []),
        ("No Indexing", []),
    ],
)
def test_what_a_code_says(code, observations):
    (row,) = coded([(code,)])
    assert [name for name, said in zip(CODED, row, strict=True) if said] == observations


@pytest.mark.slow
def test_quality_on_all_reports(monkeypatch, capsys):
    table = quality_table()
    firm = table["uncertain as negative"]["F1"]
    assert firm["macro"] >= 0.895 and firm["macro, even-numbered"] >= 0.88
    assert table["uncertain as positive"]["F1"]["macro"] >= 0.84
    assert firm[["Cardiomegaly", "Pleural Effusion", "Atelectasis", "Lung Opacity", "Support Devices"]].min() >= 0.90
    assert firm[list(CODED)].min() >= 0.70
    assert table["", "coded"]["Atelectasis"] == 332
    monkeypatch.setattr("r2gen_lib.evaluation.labeler_quality.quality_table", lambda: table)
    assert cli.main(["labels", "--quality"]) == 0
    out = capsys.readouterr().out
    assert "by rules" in out and "macro, even-numbered" in out and "No Finding" in out
    assert cli.main(["labels", "--quality", "--markdown"]) == 0
    printed = capsys.readouterr().out.strip()
    told = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert printed in told, "run `r2gen labels --quality --markdown` and put its table into docs/evaluation.md"
