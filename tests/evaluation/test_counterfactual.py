from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_system import tiny_model

from r2gen_lib import R2GenGPT, cli
from r2gen_lib.data.study import Study
from r2gen_lib.errors import DataError, SimulationError
from r2gen_lib.evaluation.counterfactual.figures import pair_gallery, rate_figure, telling_pairs
from r2gen_lib.evaluation.counterfactual.pairs import BESIDE, CONTROL, NORMAL, OWN, Exposure, make_pairs
from r2gen_lib.evaluation.counterfactual.run import Counterfactuals, encode_exposures, run_pairs
from r2gen_lib.evaluation.counterfactual.tables import (
    counterfactual_table,
    format_stages,
    format_table,
    mean_interval,
    save,
    share,
    stages,
)
from r2gen_lib.findings.chexpert import CASES, DEFAULT_FINDINGS, chosen_cases, covers
from r2gen_lib.findings.finding import Finding
from r2gen_lib.metrics.chexpert_f1 import label_table

HEART, FLUID = CASES["Cardiomegaly"], CASES["Pleural Effusion"]
OTHERS = {
    "F1": (Finding("Pleural Effusion", "left", severity=0.5),),
    "F2": (Finding("Pleural Effusion", "right"), Finding("Scoliosis")),
    "H1": (Finding("Cardiomegaly", severity=0.9),),
}


def studies() -> list[Study]:
    normal = [Study(f"N{i}", "test", "normal .", {}, ("normal",)) for i in range(6)]
    found = [Study(name, "test", "x .", {}, ("code",), findings=findings) for name, findings in OTHERS.items()]
    return normal + found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_findings_sentences_say_and_deny_its_observation_and_no_other(case):
    said = label_table({"present": case.present, "absent": case.absent})
    assert said.loc["present", case.observation] == "present"
    assert said.loc["absent", case.observation] in ("absent", "not mentioned")
    others = said.loc["present"][said.loc["present"] == "present"].index
    assert set(others) <= case.may_change


def test_findings_are_chosen_by_name_or_part_of_it():
    assert [case.finding for case in chosen_cases(["effusion", "CARDIOMEGALY", "effusion"])] == [
        "Pleural Effusion",
        "Cardiomegaly",
    ]
    assert [case.finding for case in chosen_cases(["Opacity"])] == ["Opacity"]
    assert len(DEFAULT_FINDINGS) == 6
    with pytest.raises(SimulationError, match="Rib Fracture, Clavicle Fracture"):
        chosen_cases(["fracture"])
    with pytest.raises(SimulationError, match="scoliosis"):
        chosen_cases(["scoliosis"])


def test_a_kind_of_opacity_covers_an_opacity_but_not_the_other_way_round():
    assert covers(Finding("Consolidation"), CASES["Opacity"]) and covers(Finding("Scar"), CASES["Opacity"])
    assert not covers(Finding("Opacity"), CASES["Consolidation"])
    assert not covers(Finding("Scoliosis"), HEART)


def test_pairs_differ_in_one_finding_and_controls_in_none():
    pairs = make_pairs(studies(), [HEART, FLUID], patients=4, beside=2, own=2)
    assert pairs == make_pairs(studies(), [HEART, FLUID], patients=4, beside=2, own=2)
    assert pairs != make_pairs(studies(), [HEART, FLUID], patients=4, beside=2, own=2, seed=1)
    count = {kind: sum(pair.kind == kind for pair in pairs) for kind in (NORMAL, BESIDE, OWN, CONTROL)}
    assert count == {NORMAL: 8, BESIDE: 3, OWN: 3, CONTROL: 7}
    for pair in pairs:
        assert pair.without.patient == pair.with_.patient
        if pair.kind == CONTROL:
            assert pair.drawn == () and pair.with_.retake and not pair.without.retake
        else:
            assert {finding.name for finding in pair.drawn} == {pair.finding}
            assert set(pair.without.findings) < set(pair.with_.findings)
    sides = {pair.drawn[0].side for pair in pairs if pair.finding == "Pleural Effusion" and pair.kind == NORMAL}
    assert sides <= {"left", "right"} and all(p.drawn[0].side == "" for p in pairs if p.finding == "Cardiomegaly")
    with pytest.raises(DataError, match="1 to 6"):
        make_pairs(studies(), [HEART], patients=7)


def test_another_exposure_is_another_picture_of_the_same_body():
    own, other = Exposure("N0"), Exposure("N0", retake=1)
    pictures = [own.draw().picture, other.draw().picture, other.draw().picture]
    assert np.array_equal(pictures[1], pictures[2])
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 2
    drawn = Exposure("N0", (Finding("Cardiomegaly", severity=1.0),)).draw(truth=True)
    assert drawn.truth[0].mask.max() > 0


def rows_of(*told) -> pd.DataFrame:
    """(kind, says without, says with, others changed, change of log-odds, of finding head's logit) -> rows of HEART."""
    rows = []
    for i, (kind, before, after, others, change, rise) in enumerate(told):
        row = {"kind": kind, "finding": "Cardiomegaly", "observation": "Cardiomegaly", "patient": f"N{i}"}
        row |= {"drawn": "", "says without": before, "says with": after, "others changed": others}
        row |= {
            "log-odds without": -2.0,
            "log-odds with": -2.0 + change,
            "head without": -3.0,
            "head with": -3.0 + rise,
        }
        rows.append(row | {"report without": "clear .", "report with": "large heart ."})
    return pd.DataFrame(rows)


TOLD = Counterfactuals(
    (),
    rows_of(
        (NORMAL, False, True, "", 4.0, 5.0),  # flips
        (NORMAL, False, False, "Edema", 3.0, 5.0),  # likelier, not written
        (NORMAL, False, False, "", -1.0, 5.0),  # seen, not likelier
        (BESIDE, False, False, "", -1.0, -1.0),  # not seen
        (NORMAL, True, True, "", 1.0, 5.0),  # said anyway
        (CONTROL, False, False, "", 0.0, 0.0),
        (CONTROL, True, False, "Fracture", 0.0, 0.0),
    ),
)


def test_the_table_counts_flips_and_what_else_changes():
    table = counterfactual_table(TOLD)
    assert list(table.index) == [("Cardiomegaly", "put in"), ("Cardiomegaly", "another exposure")]
    put, control = table.iloc[0], table.iloc[1]
    assert (put.pairs, put.flipped, put.undone, put.unchanged) == (5, 1, 0, 4)
    assert put.sensitivity == 0.2 and put.specificity == 0.8
    assert put["sensitivity low"] == pytest.approx(0.0362, abs=1e-4)  # Wilson, 1 of 5
    assert put["sensitivity high"] == pytest.approx(0.6245, abs=1e-4)
    assert put["log-odds change"] == pytest.approx(1.2) and put.upwards == 0.6
    assert (control.flipped, control.undone, control.unchanged) == (0, 1, 1)
    assert "Cardiomegaly" in format_table(table)


def test_a_lost_flip_is_lost_at_the_first_stage_that_misses_it():
    row = stages(TOLD).iloc[0]
    assert (row.pairs, row["without it"]) == (5, 7)
    assert (row["finding head"], row.likelihood, row.report) == (0.8, 0.6, 0.2)
    lost = [row[f"lost in {where}"] for where in ("encoder", "mapper and LLM", "decoding")]
    assert lost == [1, 1, 2]
    blind = TOLD.rows.assign(**{"head with": np.nan, "head without": np.nan})
    row = stages(Counterfactuals((), blind)).iloc[0]
    assert np.isnan(row["finding head"]) and np.isnan(row["lost in encoder"]) and row["lost in mapper and LLM"] == 2
    assert "? / 2 / 2" in format_stages(stages(Counterfactuals((), blind)))


def test_intervals_of_none_and_of_equal_values():
    assert np.isnan(share(0, 0)).all() and np.isnan(mean_interval([1.0])).all()
    assert mean_interval([2.0, 2.0]) == (2.0, 2.0)
    assert share(0, 5)[1] == pytest.approx(0, abs=1e-12) and share(0, 5)[2] == pytest.approx(0.4345, abs=1e-4)


def test_a_run_is_kept_and_repeatable(tmp_path):
    model = tiny_model()
    pairs = make_pairs(studies(), [HEART, FLUID], patients=1, beside=1, own=1)
    result = run_pairs(model, pairs, batch_size=5, progress=False, max_new_tokens=5)
    again = run_pairs(model, pairs, batch_size=5, progress=False, max_new_tokens=5)
    pd.testing.assert_frame_equal(result.rows, again.rows)
    exposure = pairs[0].without
    features = encode_exposures(model, [exposure], progress=False)
    (own_way,) = model.generate(features=features, max_new_tokens=5)  # with the preset's decoding
    assert result.rows["report without"][0] == own_way
    own = result.rows[result.rows.kind != CONTROL]
    assert len(own) == sum(pair.kind != CONTROL for pair in pairs)
    assert result.rows["log-odds with"].notna().all() and result.rows["head with"].isna().all()
    controls = result.rows[result.rows.kind == CONTROL]
    assert "H1" not in set(controls[controls.finding == "Cardiomegaly"].patient)  # its label might flip of itself
    save(result, tmp_path / "out", "tiny")
    names = {"counterfactual.csv", "stages.csv", "pairs.csv", "counterfactual.png", "pairs.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    kept = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert list(kept["report with"].fillna("")) == list(result.rows["report with"]) and set(kept.note) == {"tiny"}
    with pytest.raises(DataError, match="no pairs"):
        save(Counterfactuals((), pd.DataFrame()), tmp_path)


def test_figures_have_a_row_for_each_finding_and_mark_changed_words():
    figure = rate_figure(counterfactual_table(TOLD), "five pairs")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["Cardiomegaly"]
    pairs = make_pairs(studies(), [HEART], patients=1, beside=0, own=0)
    told = rows_of((NORMAL, False, True, "", 1.0, 1.0)).assign(patient=pairs[0].without.patient)
    result = Counterfactuals(tuple(pairs), told)
    assert telling_pairs(result) == [pairs[0]]
    figure = pair_gallery(result, telling_pairs(result))
    bold = {text.get_text() for text in figure.axes[-1].texts if text.get_fontweight() == "bold"}
    assert bold == {"clear", "large", "heart"}


def test_the_command_prints_tables_and_keeps_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(R2GenGPT, "from_trained", lambda name: tiny_model())
    out = tmp_path / "out"
    numbers = ["--patients", "2", "--beside", "0", "--taken-out", "0", "--pointing", "tokens", "--pointing-pairs", "1"]
    assert (
        cli.main(["counterfactual", "--checkpoint", "tiny", "--findings", "effusion", *numbers, "--out", str(out)]) == 0
    )
    printed = capsys.readouterr().out
    assert "checkpoint tiny, 2 normal test patients" in printed and "simulated" in printed
    assert "another exposure" in printed and "lost in: encoder" in printed and "points at" in printed
    table = pd.read_csv(out / "counterfactual.csv", index_col=["finding", "change"])
    assert table.loc[("Pleural Effusion", "put in"), "pairs"] == 2
    assert {"pairs.csv", "stages.csv", "pointing.csv", "pairs.png", "pointing.png"} <= {p.name for p in out.iterdir()}


def test_the_command_refuses_what_it_does_not_know(capsys):
    assert cli.main(["counterfactual", "--findings", "scoliosis"]) == 2
    assert "Pleural Effusion" in capsys.readouterr().err
