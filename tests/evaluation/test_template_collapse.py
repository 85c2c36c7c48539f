"""Template collapse: each measure against numbers by hand, self-BLEU against pycocoevalcap's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocoevalcap.bleu.bleu_scorer import BleuScorer

from r2gen_lib import cli
from r2gen_lib.evaluation.controls import score_systems
from r2gen_lib.evaluation.score_table import format_scores, scores_as_json
from r2gen_lib.evaluation.template_collapse import (
    CALLED_NORMAL,
    EARLIER,
    MEASURES,
    NORMAL,
    NORMAL_BIAS,
    RARE,
    REFERENCES,
    SELF_BLEU,
    self_bleu,
    template_collapse,
)

ROOT = Path(__file__).parents[2]
NORMAL_REPORT = "The lungs are clear. The heart is normal in size."
TRAIN = [NORMAL_REPORT] * 60 + ["The heart is enlarged."] * 5 + ["There is a left pneumothorax."]
TRUTH = {
    "a": "There is a right pneumothorax.",
    "b": "The heart is enlarged. There is a small pneumothorax.",
    "c": "Stable heart size. Clear lungs.",
    "d": "The heart is enlarged.",
    "e": NORMAL_REPORT,
}
WRITTEN = {
    "a": NORMAL_REPORT,
    "b": "There is a left pneumothorax. The heart is normal.",
    "c": NORMAL_REPORT,
    "d": "The heart remains enlarged, unchanged from the prior study.",
    "e": "",
}


@pytest.fixture(scope="module")
def found():
    return template_collapse(TRUTH, {"model": WRITTEN, "constant": dict.fromkeys(TRUTH, NORMAL_REPORT)}, TRAIN)


def test_each_measure_is_what_its_definition_says(found):
    model = found.values.loc["model"]
    assert model[NORMAL] == 2 / 5  # the empty report is no normal one
    assert model[NORMAL_BIAS] == pytest.approx(2 / 5 - 2 / 5)
    assert model[CALLED_NORMAL] == pytest.approx(1 / 3)
    assert "Pneumothorax" in found.rare and "Cardiomegaly" not in found.rare
    assert model[RARE] == 1 / 2  # b of a and b; the enlarged hearts are not rare
    assert model[EARLIER] == 1 / 5


def test_a_constant_normal_report_is_the_worst_there_is(found):
    constant = found.values.loc["constant"]
    assert constant[[SELF_BLEU, NORMAL, CALLED_NORMAL, RARE]].tolist() == pytest.approx([1, 1, 1, 0])
    assert constant[NORMAL_BIAS] == pytest.approx(3 / 5)


def test_the_references_stand_beside_with_their_own_share(found):
    assert list(found.values.index) == ["model", "constant", REFERENCES]
    references = found.values.loc[REFERENCES]
    assert references[[NORMAL_BIAS, CALLED_NORMAL, RARE, EARLIER]].tolist() == [0, 0, 1, 1 / 5]
    assert (found.low <= found.values).all().all() and (found.values <= found.high).all().all()


def test_self_bleu_is_pycocoevalcaps_bleu_against_all_the_others():
    texts = ["the heart is big", "the heart is the heart", "the lungs are clear and the heart is big now", "clear"]
    scorer = BleuScorer(n=4)
    for n, text in enumerate(texts):
        scorer += (text, texts[:n] + texts[n + 1 :])
    assert self_bleu(texts).value() == pytest.approx(scorer.compute_score(option="closest", verbose=0)[0][3], rel=1e-9)


def test_reports_that_share_nothing_have_no_self_bleu_and_equal_ones_have_one():
    assert self_bleu(["one two three four five", "six seven eight nine ten"]).value() < 1e-3
    assert self_bleu(["one two three four five"] * 2).value() == pytest.approx(1)


def test_what_nobody_can_be_asked_is_left_out_with_the_reason():
    normal = dict.fromkeys("ab", NORMAL_REPORT)
    found = template_collapse(normal, {"model": normal}, TRAIN)
    assert set(found.omitted) == {CALLED_NORMAL, RARE}
    assert list(found.values) == [name for name in MEASURES if name not in found.omitted]


def test_it_stands_in_every_table_of_an_evaluation():
    shuffled = dict(zip(WRITTEN, [*list(WRITTEN.values())[1:], NORMAL_REPORT], strict=True))
    table = score_systems(TRUTH, {"model": WRITTEN, "shuffled pictures": shuffled}, TRAIN, language_metrics=False)
    frame = table.frame()
    assert frame.loc["model", RARE] == 0.5 and frame.loc["shuffled pictures", RARE] == 0.5
    assert {f"{name} {end}" for name in MEASURES for end in ("low", "high")} <= set(frame)
    told = json.loads(json.dumps(scores_as_json(table, {})))["template collapse"]
    assert told["systems"]["references"][EARLIER]["score"] == 0.2 and "Pneumothorax" in told["rare"]
    printed = format_scores(table)
    assert "abnormal called normal" in printed and "Pneumothorax 1.5%" in printed


def measured(mode):
    path = ROOT / "data" / "measured" / f"laptop-{mode}_test.json"
    return json.loads(path.read_text(encoding="utf-8"))["template collapse"]["systems"]


def test_the_page_tells_what_was_measured():
    """docs/evaluation.md and data/measured hold the same numbers."""
    told = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    shallow, delta = map(measured, ("shallow", "delta"))
    controls = ("constant report", "shuffled pictures", "nearest neighbour", REFERENCES)
    columns = [shallow["model"], delta["model"], *(shallow[name] for name in controls)]
    for measure in MEASURES:
        each = [one[measure] for one in columns]
        cells = [f"{one['score']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in each]
        assert f"| {measure} | {' | '.join(cells)} |" in told


@pytest.mark.parametrize("mode", ["shallow", "delta"])
def test_one_command_prints_what_was_measured(mode, capsys):
    reports = ROOT / "data" / "measured" / f"laptop-{mode}_test_reports.csv"
    assert cli.main(["score", str(reports), "--metrics", "clinical"]) == 0
    printed = capsys.readouterr().out.partition("template collapse:")[2]
    for measure in MEASURES:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{measure} "))
        for system in ("model", "nearest neighbour", REFERENCES):
            assert f"{measured(mode)[system][measure]['score']:.3f} [" in line
