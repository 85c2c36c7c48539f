from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny_system import tiny_model

from r2gen_lib import cli
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.truth import measure
from r2gen_lib.evaluation.truth.chests import GROUPS, LOOK_ALIKES, NORMAL, absent, group_of, truth_studies
from r2gen_lib.evaluation.truth.measure import format_truth, judge, write_and_judge
from r2gen_lib.findings.chexpert import CASES, PARENT, covers, observation_of
from r2gen_lib.findings.finding import MIDLINE
from r2gen_lib.findings.sentences import sentence_for
from r2gen_lib.training.rare_findings.counterfactual_reports import CLEAR

DENIES = "The heart is normal in size. The lungs are clear. There is no pleural effusion or pneumothorax."


@pytest.fixture(scope="module")
def studies():
    return truth_studies(6)


def true_reports(studies):
    rng = np.random.default_rng(0)
    say = [[sentence_for(f, rng) for f in study.findings if f.name in CASES] for study in studies]
    return [" ".join(sentences) or DENIES for sentences in say]


def test_chests_are_balanced_new_and_the_same_each_time(studies):
    assert [group_of(study) for study in studies] == [group for group in GROUPS for _ in range(6)]
    assert len({study.id for study in studies}) == len(studies)
    assert [s.findings for s in studies] == [s.findings for s in truth_studies(6)]
    more = truth_studies(8)
    assert {s.id for s in studies} < {s.id for s in more}
    assert not {s.id for s in truth_studies(6, "val")} & {s.id for s in more}
    assert all(study.pictures[0].simulated for study in studies)


def test_what_is_measured_can_be_seen_and_look_alikes_have_another_label():
    assert set(LOOK_ALIKES) <= set(CLEAR)
    for finding, names in LOOK_ALIKES.items():
        assert finding not in names
        for name in (name for name in names if name in CASES):
            own, other = CASES[finding].observation, CASES[name].observation
            assert own != other and own != PARENT.get(other), (finding, name)


def test_a_finding_is_absent_where_it_is_counted_as_absent(studies):
    for finding in LOOK_ALIKES:
        without = absent(studies, finding)
        assert 6 < without.sum() <= 12
        for study in np.array(studies, dtype=object)[without]:
            assert not any(covers(one, CASES[finding]) for one in study.findings)


def test_half_of_the_chests_have_a_companion_of_another_label():
    studies = [study for study in truth_studies(40) if study.findings]
    assert 0.45 < np.mean([len(study.findings) == 2 for study in studies]) < 0.55
    for study in studies:
        names = [observation_of(one) for one in study.findings]
        assert len(set(names)) == len(names)


def test_reports_that_say_what_is_drawn_are_right(studies):
    truth = judge(studies, true_reports(studies))
    summary = truth.summary["value"]
    assert truth.findings.recall.min() == 1 and summary["macro F1"] > 0.95
    assert summary["reports that contradict themselves"] == 0
    assert summary["normal chests with an invented finding"] == 0
    assert summary["right side, of those named"] == 1


def test_reports_that_say_nothing_of_it_find_nothing(studies):
    truth = judge(studies, [DENIES] * len(studies))
    assert truth.findings.recall.max() == 0 and truth.summary.value["macro F1"] == 0
    assert truth.summary.value["chests with an invented finding"] == 0
    without = np.mean([not any(observation_of(one) for one in study.findings) for study in studies])
    assert truth.summary.value["reports without a mistake"] == pytest.approx(without)


def test_one_that_says_the_same_everywhere_is_precise_by_chance_alone(studies):
    truth = judge(studies, ["There is a left pleural effusion."] * len(studies))
    row = truth.findings.loc["Pleural Effusion"]
    assert row.recall == 1 and row.precision == pytest.approx(row["with"] / (row["with"] + row["without"]))
    assert row["on look-alikes"] == row["on normal"] == 1
    assert truth.summary.value["normal chests with an invented finding"] == 1


def test_contradictions_and_sides_are_found(studies):
    reports = true_reports(studies)
    effusions = [i for i, study in enumerate(studies) if group_of(study) == "Pleural Effusion"]
    reports[effusions[0]] += " There is no pleural effusion."
    one_sided = next(i for i in effusions if studies[i].findings[0].side in ("left", "right"))
    turned = {"left": "right", "right": "left"}[studies[one_sided].findings[0].side]
    reports[one_sided] = f"There is a {turned} pleural effusion."
    truth = judge(studies, reports)
    assert truth.chests.contradicts[effusions[0]] == "Pleural Effusion" or one_sided == effusions[0]
    sided = [i for i, row in truth.chests.iterrows() if row.side in ("left", "right") and row["side said"]]
    assert truth.summary.value["right side, of those named"] == pytest.approx(1 - 1 / len(sided))
    assert all(studies[i].findings[0].name not in MIDLINE for i in sided)


def test_intervals_hold_the_value_and_shrink_with_the_chests(studies):
    widths = []
    for count in (6, 24):
        some = truth_studies(count)
        reports = [text if i % 3 else DENIES for i, text in enumerate(true_reports(some))]
        row = judge(some, reports).summary.loc["macro F1"]
        assert row.low <= row.value <= row.high and row.of == len(some)
        widths.append(row.high - row.low)
    assert widths[1] < 0.7 * widths[0]


def test_the_command_writes_tables_and_every_report(tmp_path, monkeypatch, capsys):
    """The tiny model's pictures are 32 pixels wide and its words random; chests, reports and tables are real."""
    monkeypatch.setattr("r2gen_lib.R2GenGPT.from_trained", lambda name: tiny_model())
    assert cli.main(["truth", "--chests", "1", "--split", "val", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "macro F1" in said and "Pneumothorax" in said and "imulated" in said
    assert len(pd.read_csv(tmp_path / "chests.csv")) == len(GROUPS)
    assert list(pd.read_csv(tmp_path / "findings.csv").finding) == list(LOOK_ALIKES)


def test_writing_and_judging_is_what_it_says(studies, monkeypatch):
    some = [study for study in studies if group_of(study) in ("Edema", NORMAL)]
    monkeypatch.setattr(measure, "judge", lambda studies, reports: (studies, reports))
    found, reports = write_and_judge(tiny_model(), some[:3], progress=False)
    assert found == some[:3] and len(reports) == 3


def test_another_split_is_refused():
    with pytest.raises(DataError, match="found split 'train' and 5 chests a group, expected one of val, test"):
        truth_studies(5, "train")


def test_the_table_reads_well(studies):
    lines = format_truth(judge(studies, true_reports(studies))).splitlines()
    assert max(map(len, lines)) <= 110 and lines[0].split()[:3] == ["drawn", "observation", "precision"]
