from __future__ import annotations

import pytest

from r2gen_lib.data.readers.error_list import ErrorList, quoted
from r2gen_lib.errors import DataError


def test_no_fault_is_no_error():
    assert ErrorList("table.csv").check() is None


def test_one_fault_is_told_as_it_is():
    errors = ErrorList("table.csv")
    errors.add("line 7: its id is empty.")
    with pytest.raises(DataError, match=r"^table.csv, line 7: its id is empty\.$"):
        errors.check()


def test_thousands_of_faults_are_five_and_a_count():
    errors = ErrorList("table.csv")
    for line in range(2, 12_002):
        with errors.collecting():
            raise DataError(f"line {line}: no picture.")
    with pytest.raises(DataError) as error:
        errors.check()
    message = str(error.value)
    assert message.startswith("table.csv: 12,000 entries are wrong:\n  line 2: no picture.\n")
    assert message.endswith("line 6: no picture.\n  and 11,995 more") and message.count("\n") == 6


def test_other_errors_are_not_swallowed():
    with pytest.raises(ZeroDivisionError), ErrorList("table.csv").collecting():
        raise ZeroDivisionError


def test_quoted_text_is_short_and_printable():
    assert quoted("CXR1") == "'CXR1'"
    assert len(quoted("x" * 10_000)) <= 102
    quoted("half a character: \ud800").encode()
