from __future__ import annotations

import codecs
import gzip

import pytest

from r2gen_lib.data.readers.csv_table import read_table
from r2gen_lib.errors import DataError


@pytest.fixture
def table(tmp_path):
    def write(content: str | bytes, name: str = "table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


ROWS = [{"id": "s1", "report": "Clear; normal | heart, size."}, {"id": "s2", "report": "Line one.\nLine two."}]


def written(delimiter: str) -> str:
    text = f'id{delimiter}report\ns1{delimiter}"Clear; normal | heart, size."\ns2{delimiter}"Line one.\nLine two."\n'
    return text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_usual_delimiters_are_found_even_where_texts_hold_the_others(table, delimiter):
    assert read_table(table(written(delimiter)), ("id", "report")) == ROWS


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: gzip.compress(text.encode(), mtime=0),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8 with BOM", "utf-16", "utf-16 big-endian", "gzip", "Windows line ends"],
)
def test_what_excel_and_archives_make_of_a_table_is_read(table, encode):
    rows = read_table(table(encode(written(","))), ("id", "report"))
    assert [row["id"] for row in rows] == ["s1", "s2"]
    assert rows[1]["report"].split() == "Line one. Line two.".split()


def test_only_columns_asked_for_come_back_under_the_name_asked_for(table):
    path = table("ID , Report,note,split\n s1 , Clear. ,x,train\n")
    assert read_table(path, ("id", "report"), optional=("split", "patient")) == [
        {"id": "s1", "report": "Clear.", "split": "train"}
    ]


MISSING = ("nan", "NaN", "None", "none", "NULL", "N/A", "n/a", "NA", "<NA>", "#N/A", "-", "NaT")


def test_cells_of_a_missing_value_are_empty_unless_a_person_may_have_written_them(table):
    text = "id,report,comparison\n" + "".join(f"s{n}, {word} ,{word}\n" for n, word in enumerate(MISSING))
    rows = read_table(table(text), ("id", "report"), optional=("comparison",), verbatim=("comparison",))
    assert [row["report"] for row in rows] == [""] * len(MISSING)
    assert [row["comparison"] for row in rows] == list(MISSING)
    (row,) = read_table(table("id,report\nNancy,None seen.\n"), ("id", "report"))
    assert row == {"id": "Nancy", "report": "None seen."}


def test_rows_know_their_line_and_blank_lines_are_no_rows(table):
    rows = read_table(table('id,report\n\ns1,"one\ntwo"\n,\ns2,three\n'), ("id", "report"))
    assert [(row["id"], row.line) for row in rows] == [("s1", 3), ("s2", 6)]


def test_quotes_inside_texts(table):
    path = table('id,report\ns1, "A ""clear"" lung, normal."\ns2,5" tube\n')
    assert [row["report"] for row in read_table(path, ("report",))] == ['A "clear" lung, normal.', '5" tube']


def test_a_missing_column_is_told_with_those_found_and_the_nearest(table):
    path = table("uid,file_name,projection\n1,a.png,Frontal\n")
    with pytest.raises(DataError) as error:
        read_table(path, ("uid", "filename", "report"))
    message = str(error.value)
    assert str(path) in message and "no column 'filename' (is it 'file_name'?); 'report'." in message
    assert "Found 'uid', 'file_name', 'projection'." in message


def test_one_of_several_columns_is_enough(table):
    path = table("picture,report\na.png,Clear.\n")
    rows = read_table(path, (("picture", "frontal"), "report"), optional=("frontal", "lateral"))
    assert rows == [{"picture": "a.png", "report": "Clear."}]
    with pytest.raises(DataError, match="no column 'frontal' or 'lateral'"):
        read_table(path, (("frontal", "lateral"),))


def test_hundreds_of_columns_are_not_listed(table):
    path = table(",".join(f"c{i}" for i in range(300)) + "\n" + ",".join("1" * 300) + "\n")
    with pytest.raises(DataError, match="and 288 more") as error:
        read_table(path, ("id",))
    assert len(str(error.value)) < 500


def test_a_column_that_is_there_twice_is_refused_only_if_it_is_needed(table):
    path = table("id,note,report,Report,note\ns1,a,Clear.,Dense.,b\n")
    with pytest.raises(DataError, match="more than one column 'report'"):
        read_table(path, ("id", "report"))
    assert read_table(path, ("id",)) == [{"id": "s1"}]


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff", codecs.BOM_UTF16_LE, gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_told(table, content):
    with pytest.raises(DataError, match="the file is empty, expected a CSV table"):
        read_table(table(content), ("id",))


def test_a_header_without_rows_is_told(table):
    with pytest.raises(DataError, match="found a header and no rows"):
        read_table(table("id,report\n,\n"), ("id",))


def test_a_table_of_delimiters_only_is_told(table):
    with pytest.raises(DataError, match="no column 'id'. Found"):
        read_table(table(",,,\n,,,\n"), ("id",))


def test_another_encoding_is_told_with_its_line(table):
    path = table("id,report\ns1,Clear.\ns2,Herz normal groß\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3: found a byte that is not utf-8 text\. Save it again as 'CSV UTF-8'"):
        read_table(path, ("id", "report"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "an Excel workbook"),
        (b"id,report\x00\n", "binary data"),
        (gzip.compress(b"id,report\ns1,x\n" * 999, mtime=0)[:-20], "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
    ],
)
def test_files_that_are_no_tables_are_told(table, content, what):
    with pytest.raises(DataError, match=what):
        read_table(table(content), ("id",))


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="the table cannot be read .* Give the path of a CSV file"):
            read_table(path, ("id",))


def test_a_quote_that_is_never_closed_loses_no_rows_in_silence(table):
    path = table('id,report\ns1,Clear.\ns2,"Heart is large.\ns3,Clear.\n')
    with pytest.raises(DataError, match="line 3: the row that begins here cannot be read .* Close its quotes"):
        read_table(path, ("id", "report"))


def test_commas_without_quotes_are_one_error_however_many_rows(table):
    path = table("id,report\n" + "".join(f"s{i},Clear, normal.\n" for i in range(3000)) + "last,Clear.\n")
    with pytest.raises(DataError) as error:
        read_table(path, ("id", "report"))
    message = str(error.value)
    assert "3,000 entries are wrong" in message and "and 2,995 more" in message
    assert "line 2: found 3 cells, expected 2 like the header" in message and message.count("\n") == 6


def test_trailing_empty_cells_are_harmless_but_missing_ones_are_not(table):
    assert read_table(table("id,report\ns1,Clear.,,\n"), ("id", "report")) == [{"id": "s1", "report": "Clear."}]
    with pytest.raises(DataError, match="line 2: found 1 cells, expected 2"):
        read_table(table("id,report\ns1\n"), ("id", "report"))
