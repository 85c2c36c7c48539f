from __future__ import annotations

import re

import numpy as np
import pytest

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.chexpert import CASES, PARENT
from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.findings.report_labeler import State, label_reports
from r2gen_lib.findings.report_phrases import OBSERVATIONS
from r2gen_lib.findings.sentences import SAYABLE, sentence_for

ZONES = ("", "apex", "base", "upper lobe", "middle lobe", "lower lobe", "lingula", "hilum", "retrocardiac")


def ways(finding):
    """All sentences for it."""
    return {sentence_for(finding, np.random.default_rng(seed)) for seed in range(40)}


@pytest.mark.parametrize("name", SAYABLE)
def test_every_sentence_says_its_finding_and_no_other(name):
    case, sides = CASES[name], [""] if name in MIDLINE else ["left", "right", "bilateral"]
    sentences = sorted(
        {
            sentence
            for side in sides
            for zone in ZONES
            for severity in (None, 0.1, 0.5, 0.9)
            for sentence in ways(Finding(name, side, zone, severity))
        }
    )
    may = {case.observation, PARENT.get(case.observation), "No Finding"}
    for sentence, labels in zip(sentences, label_reports(sentences), strict=True):
        said = {o for o, state in zip(OBSERVATIONS, labels, strict=True) if state >= State.UNCERTAIN}
        assert case.observation in said and said <= may, sentence
        assert re.fullmatch(r"[A-Z][a-z ]+\.", sentence), sentence
        assert not re.search(r"\ba (bilateral|endotracheal|both)\b|  ", sentence), sentence


def test_it_says_where_and_how_much():
    assert ways(Finding("Pleural Effusion", "left", severity=0.2)) == {
        "There is a small left pleural effusion.",
        "Small left pleural effusion.",
    }
    assert "There are large bilateral pleural effusions." in ways(
        Finding("Pleural Effusion", "bilateral", severity=1.0)
    )
    assert "The heart is moderately enlarged." in ways(Finding("Cardiomegaly", severity=0.5))
    assert "There is a nodule in the right middle lobe." in ways(Finding("Nodule", "right", "middle lobe"))
    assert "There is consolidation in both lung bases." in ways(Finding("Consolidation", "bilateral", "base"))


@pytest.mark.parametrize(
    "finding, tube",
    [
        (Finding("Tube", "left", "abdomen"), "nasogastric"),
        (Finding("Tube"), "endotracheal"),
        (Finding("Tube", "right", "trachea"), "endotracheal"),
        (Finding("Tube", "right", "apex"), "chest"),
    ],
)
def test_the_tube_is_the_one_that_is_drawn(finding, tube):
    assert all(tube in sentence.lower() for sentence in ways(finding))


def test_what_has_no_sentence_is_refused():
    with pytest.raises(
        SimulationError, match="'Scoliosis': there is no sentence for it; expected one of .*Cardiomegaly"
    ):
        sentence_for(Finding("Scoliosis"), np.random.default_rng(0))
