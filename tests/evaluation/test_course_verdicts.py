"""What notebooks 05 and 05b say of the 590 stored reports. No model writes, so it holds in fp32, bf16, on any threads.

(Whether what they assert of reports that a machine writes itself holds there: benchmarks/same_verdicts.py.)
"""

from __future__ import annotations

import json

import pytest

from r2gen_lib import load_studies
from r2gen_lib.assets import repository_data
from r2gen_lib.data.study import by_split
from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import CONSTANT, MODEL, NEAREST, SHUFFLED, score_systems
from r2gen_lib.evaluation.finding_table import LEAST, finding_table, macro_means
from r2gen_lib.evaluation.habits import habits
from r2gen_lib.evaluation.score_table import verdicts
from r2gen_lib.evaluation.written_reports import read_reports, references_of
from r2gen_lib.metrics.chexpert_f1 import clinical_study_scores

WORDS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L")


@pytest.fixture(scope="module")
def stored():
    studies = load_studies("openi_sim")
    tests, train = by_split(studies, "test"), by_split(studies, "train")
    path = repository_data("measured/laptop-shallow_test_reports.csv")
    systems = read_reports(path, train)
    return tests, systems, references_of(path, systems, tests)


@pytest.fixture(scope="module")
def measured():
    return json.loads(repository_data("measured/laptop-shallow_test.json").read_text(encoding="utf-8"))


def test_the_constant_report_beats_the_model_where_words_are_counted(measured):
    scores = {
        name: {key: row["score"] for key, row in system.items() if isinstance(row, dict)}
        for name, system in measured["systems"].items()
    }
    kept = {name: scores[CONSTANT][name] / scores[MODEL][name] for name in scores[MODEL]}
    assert all(kept[name] > 1 for name in WORDS) and kept["CIDEr"] < 1
    assert "macro F1" in min(kept, key=kept.get)
    assert all(scores[MODEL][name] > scores[SHUFFLED][name] for name in scores[MODEL])


def test_macro_f1_is_above_every_control_and_beside_what_can_be_reached(stored, measured):
    _, systems, truths = stored
    options = {"further": [clinical_study_scores], "language_metrics": False, "resamples": 200}
    scored = score_systems(truths, systems, [], known_constants=measured["constant reports"], **options)
    macro, micro = scored.names
    assert verdicts(scored)[macro] == "above every control's interval"
    assert verdicts(scored)[micro] == f"not above the interval of: {NEAREST}"
    table = finding_table(systems[MODEL], truths)
    means = macro_means(table)
    assert means.loc["all 14", "macro F1"] == pytest.approx(scored.scores.loc[MODEL, macro])
    assert means.loc["all 14", "reachable"] < 1 and means["macro F1"].is_monotonic_increasing
    assert ((table.present + table.uncertain).drop(means["left out"].iloc[-1].split(", ")) >= LEAST).all()
    with pytest.raises(DataError, match="known_constants: found no constant report for clinical micro F1"):
        score_systems(truths, systems, [], known_constants={macro: "x"}, **options)


def test_a_habit_stands_for_four_reports_in_ten(stored):
    tests, systems, truths = stored
    table = habits(tests, {"radiologists": truths, MODEL: systems[MODEL], NEAREST: systems[NEAREST]})
    assert 0.35 < table.commonest[MODEL] / table.reports[MODEL] < 0.45
    assert table.commonest[MODEL] > 10 * table.commonest["radiologists"]
    assert table.words[MODEL] < table.words["radiologists"]
    assert table.low[MODEL] > table.high[NEAREST]  # the side is right more often than in a look-alike's report
