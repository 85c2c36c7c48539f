"""The words that findings are made of."""

from __future__ import annotations

import pytest

from r2gen_lib.findings.finding import FINDING_NAMES, MIDLINE, SEVERITY, Finding


def test_an_unknown_finding_is_refused_by_name():
    with pytest.raises(ValueError, match="Pleural Efusion"):
        Finding("Pleural Efusion")


def test_a_finding_reads_as_a_phrase():
    assert str(Finding("Opacity", "left", "lower lobe", 0.5)) == "left lower lobe opacity"
    assert str(Finding("Cardiomegaly")) == "cardiomegaly"


def test_names_are_unique_and_severities_between_0_and_1():
    assert len(set(FINDING_NAMES)) == len(FINDING_NAMES) and set(FINDING_NAMES) >= MIDLINE
    assert all(0 < value <= 1 for value in SEVERITY.values())
