"""Which of Open-i's codes are drawn."""

from __future__ import annotations

import pytest

from r2gen_lib.assets import asset
from r2gen_lib.data.readers.openi import read_openi_archive
from r2gen_lib.findings.mesh_coverage import coverage_table, coverage_text, drawn_share


@pytest.fixture(scope="module")
def openi():
    return {report: mesh for report, (_, mesh) in read_openi_archive(asset("openi_reports")).items()}


def test_at_least_95_percent_of_what_a_radiograph_could_show_is_drawn(openi):
    table = coverage_table(openi)
    drawn, visible = drawn_share(table)
    assert drawn / visible >= 0.95
    assert len(openi) == 3955 and table["count"].sum() == sum(len(mesh) for mesh in openi.values())
    hidden = table[~table["visible"]]
    assert visible == table["count"].sum() - hidden["count"].sum()
    assert hidden["count"].sum() - 1391 - 95 - 86 < 80  # but for normal, uncoded and technical: cut off or outside


def test_each_row_says_how_it_is_drawn_or_why_not(openi):
    table = coverage_table(openi)
    assert ((table["drawn as"] != "") != (table["reason"] != "")).all()
    assert not table["code"].duplicated().any()
    assert not table["reason"].str.contains("unknown").any()


def test_rows_are_headings_and_rules_with_their_counts():
    mesh = {"a": ["Calcinosis/aorta", "Calcinosis/lung/base/left", "normal"], "b": ["Calcinosis/aorta/mild", "Nodule"]}
    table = coverage_table(mesh)
    rows = {code: (count, drawn) for code, count, drawn, *_ in table.itertuples(index=False)}
    assert rows["Calcinosis/aorta|aorta, thoracic|blood vessels"] == (2, "Aortic Calcification")
    assert rows["Nodule"] == (1, "Nodule") and rows["normal"] == (1, "")
    assert drawn_share(table) == (4, 4)


def test_unknown_codes_are_listed_and_count_as_visible():
    table = coverage_table({"a": ["Plural Effusion/left", "Nodule/lung/left"]})
    row = table[table["code"] == "Plural Effusion"].iloc[0]
    assert "unknown" in row["reason"] and row["visible"]
    assert drawn_share(table) == (1, 2)


def test_the_text_is_aligned_and_ends_with_the_percentage():
    lines = coverage_text(coverage_table({"a": ["Plural Effusion", "Nodule", "normal"]}), 1).splitlines()
    third = lines[0].index("drawn as")
    assert [line[third:].split()[0] for line in lines[1:4]] == ["-", "Nodule", "-"]
    assert all(line[third - 2 : third] == "  " for line in lines[:4])
    assert lines[-1] == "drawn: 1 of 2 visible occurrences = 50.0%"


def test_no_code_at_all():
    assert coverage_text(coverage_table({}), 0).endswith("drawn: 0 of 0 visible occurrences = 0.0%")
