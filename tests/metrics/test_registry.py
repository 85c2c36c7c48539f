"""A further metric is a function and one line: what docs/recipes/add_a_metric.md says, done."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from r2gen_lib.errors import DataError
from r2gen_lib.evaluation.controls import score_systems
from r2gen_lib.evaluation.score_table import format_scores, scores_as_json
from r2gen_lib.metrics.bootstrap import mean_score
from r2gen_lib.metrics.registry import METRICS, register, registered_scores

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "add_a_metric.md"
REFERENCES = {"a": "The heart is large.", "b": "The lungs are clear.", "c": "There is an effusion on the left."}
SYSTEMS = {
    "model": {"a": "The heart is large.", "b": "Clear.", "c": ""},
    "shuffled pictures": {"a": "", "b": "The heart is large.", "c": "Clear."},
}
TRAIN = ["The heart is normal in size.", "The lungs are clear."]


@pytest.fixture(autouse=True)
def _registry_as_it_is():
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


def scored(**options):
    return score_systems(REFERENCES, SYSTEMS, TRAIN, language_metrics=False, **options)


def test_the_recipes_metric_stands_in_every_table_with_its_interval(tmp_path):
    code, line = re.findall(r"```python\n(.*?)```", RECIPE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "length.py").write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("length", tmp_path / "length.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert '"clinical F1": clinical_study_scores,' in line and '"length": length_scores,' in line
    register("length", module.length_scores)
    table = scored()
    assert table.names[-1] == "length ratio" and len(table.names) == 3  # clinical F1's two before it
    value, low, high = (part.loc["model", "length ratio"] for part in (table.scores, table.low, table.high))
    assert value == pytest.approx((4 / 4 + 1 / 4 + 0) / 3) and low < value < high
    assert table.constants["length ratio"] in TRAIN and "constant report" in table.not_above["length ratio"]
    assert re.search(r"length ratio +0\.417 \[", format_scores(table))
    told = json.loads(json.dumps(scores_as_json(table, {})))["systems"]
    assert told["model"]["length ratio"]["score"] == pytest.approx(value)
    assert {"length ratio", "length ratio low", "length ratio high"} <= set(table.frame())


def test_clinical_f1_is_the_first_entry_and_scored_by_default():
    assert next(iter(METRICS)) == "clinical F1"
    assert [name.split(" (")[0] for name in scored().names] == ["clinical macro F1", "clinical micro F1"]
    assert [one.name for one in registered_scores(REFERENCES, SYSTEMS["model"])] == scored().names


def test_a_name_is_given_once_but_a_cell_may_run_twice():
    def words():
        return lambda truth, guess: [mean_score("words", [len(guess[i].split()) for i in truth])]

    register("words", words())
    register("words", words())
    assert scored().names[-1] == "words" and len(scored().names) == 3
    with pytest.raises(
        DataError, match=r"the name 'clinical F1' is taken by r2gen_lib\.metrics\.chexpert_f1\.clinical"
    ):
        register("clinical F1", words())


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda truth, guess: [mean_score("x", [1.0] * len(truth))] * 2, "two columns with the name 'x'"),
        (lambda truth, guess: [mean_score("empty reports", [1.0] * len(truth))], "the name 'empty reports'"),
        (lambda truth, guess: [mean_score(n, [1.0] * len(truth)) for n in ("x", "x low")], "the name 'x low'"),
        (lambda truth, guess: [mean_score("x", [1.0])], "x: found statistics of 1 studies for 3 references"),
        (lambda truth, guess: [mean_score("x", [float("nan")] * len(truth))], "x: found .* not finite"),
    ],
)
def test_a_metric_that_cannot_be_is_named(metric, words):
    with pytest.raises(DataError, match=words):
        scored(further=[metric])
