"""A finding's one entry: what it must say, and what is refused."""

from __future__ import annotations

import re

import pytest

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings import mesh_rules
from r2gen_lib.findings.chexpert import CASES
from r2gen_lib.findings.finding import FINDING_NAMES, MIDLINE
from r2gen_lib.findings.kinds import KINDS, Kind

BALL = dict(name="Ball", report_words=("ball",))
SAID = dict(present="There is a ball.", absent="There is no ball.", sentences=("There is a ball.",))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (dict(zones=("apex", "knee")), "Ball, zones: found 'knee', expected some of upper lobe, "),
        (dict(observation="Ball"), "Ball, observation: found 'Ball', expected one of No Finding, "),
        (dict(midline=True), "Ball, report_words: found words beside midline=True"),
        (dict(report_words=()), "Ball, report_words: found none, expected some for a finding that has sides"),
        (SAID, "Ball, present, absent, sentences, observation: found some of them, expected all four"),
        (dict(observation="Lung Lesion", present="There is a ball."), "Ball, present, absent, sentences, "),
        (dict(phrases=("ball",)), "Ball, phrases: found some without an observation"),
    ],
)
def test_an_entry_that_says_half_is_refused(changes, named):
    with pytest.raises(SimulationError, match=rf"findings/kinds\.py: {re.escape(named)}"):
        Kind(**BALL | changes)


def test_an_entry_may_be_short_or_whole():
    assert Kind(**BALL).zones == ()
    assert Kind(**BALL, **SAID, observation="Lung Lesion", phrases=("ball|balls",)).bilateral == ()


def test_a_heading_means_one_thing(monkeypatch):
    monkeypatch.setattr(mesh_rules, "KINDS", (Kind(**BALL, headings=("Mass",)),))
    with pytest.raises(SimulationError, match="Ball, headings: found 'Mass', which has rules already"):
        mesh_rules._with_kinds({"Mass": ()})


def test_every_table_is_read_from_the_entries():
    assert FINDING_NAMES == tuple(kind.name for kind in KINDS)
    assert {kind.name for kind in KINDS if kind.midline} == MIDLINE
    assert set(CASES) == {kind.name for kind in KINDS if kind.sentences}
    assert list(CASES)[:3] == ["Cardiomegaly", "Pleural Effusion", "Pneumothorax"]
    assert all(mesh_rules.RULES[h][0].draws == (kind.name,) for kind in KINDS for h in kind.headings)
