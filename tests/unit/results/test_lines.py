"""How reviews are written, whatever Google or a reviewer put into them."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.models.views import ReviewView
from app.results import lines
from app.store.review_pages import ReviewRow

objects = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5), max_size=4
)


def row(raw: bytes = b"{}", comment: str | None = "Good") -> ReviewRow:
    name = "accounts/1/locations/1/reviews/a"
    return ReviewRow(
        "job-1", "accounts/1", "locations/1", "a", name, 5, comment, "A. Guest", "2024-01-01T00:00:00Z", None, None, raw
    )


def raw_of(line: bytes) -> bytes:
    return line[line.index(b'"raw":') + 6 : -2]


@given(objects)
def test_an_object_in_one_line_is_passed_on_byte_for_byte(value: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        raw = text.encode(errors="surrogatepass")
        assert raw_of(lines.ndjson([row(raw)])) == raw


@pytest.mark.parametrize(
    "raw", [b'{"n":1.00,"big":123456789012345678901234567890,"e":1E400}', b'{"a" : 1 , "a":2}', b'{"s":"\\ud800"}']
)
def test_what_a_decoder_would_change_stays_as_google_wrote_it(raw: bytes) -> None:
    assert raw_of(lines.ndjson([row(raw)])) == raw


@given(objects, st.sampled_from(["\n", "\r\n"]))
def test_an_object_printed_over_several_lines_becomes_one_line(value: dict[str, Any], end: str) -> None:
    raw = json.dumps(value, indent=2).replace("\n", end).encode()
    written = lines.ndjson([row(raw), row(raw)])
    assert written.count(b"\n") == 2
    assert b"\r" not in written
    assert json.loads(raw_of(written.splitlines(keepends=True)[0])) == value


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b'{"s":"\xed\xa0\x80"}', b'{"s":"\\ud800"}'),
        (b'{"s":"\xc3\xa9\xed\xa0\x80"}', b'{"s":"\xc3\xa9\\ud800"}'),
        (b'{"s":"\xff"}', '{"s":"�"}'.encode()),
        (b'{"s":"\xff\xed\xa0\x80"}', '{"s":"����"}'.encode()),
    ],
)
def test_bytes_that_are_no_utf8_never_leave(raw: bytes, written: bytes) -> None:
    assert raw_of(lines.ndjson([row(raw)])) == written


@given(st.binary(max_size=30))
def test_every_line_is_utf8_and_ends_where_it_should(junk: bytes) -> None:
    written = lines.ndjson([row(b'{"s":"' + junk + b'"}')])
    assert written.decode().count("\n") == 1


def test_a_json_page_is_one_document() -> None:
    page = json.loads(lines.json_page([row(b'{\n"a": 1}'), row()], next_cursor=None))
    assert (len(page["reviews"]), page["reviews"][0]["raw"], page["next_cursor"]) == (2, {"a": 1}, None)


SIGNS = [*"=+-@", *"＝＋－＠", *"﹦﹢﹣﹫"]
DROPPED = ["", " ", "\n", "\r\n", '"', '""', " \t ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\x01"]


@pytest.mark.parametrize("before", DROPPED, ids=ascii)
@pytest.mark.parametrize("sign", SIGNS)
def test_a_cell_that_would_be_a_formula_is_text(sign: str, before: str) -> None:
    comment = f"{before}{sign}cmd|' /C calc'!A0"
    assert written_comment(comment) == f"'{comment}"


@pytest.mark.parametrize("comment", ["\tcmd", "\rcmd", "\ncmd", "=", "\t"], ids=ascii)
def test_a_cell_that_begins_with_a_break_is_text(comment: str) -> None:
    assert written_comment(comment) == f"'{comment}"


@pytest.mark.parametrize(
    "comment",
    ["Good = cheap", "1+1", "５つ星", "'quoted'", '"quoted" - nice', " spaces", "—dash", "*", "", "a\n=b", "🙂 = 🙂"],
    ids=ascii,
)
def test_what_no_spreadsheet_calculates_stays_as_it_is(comment: str) -> None:
    assert written_comment(comment) == comment


def test_numbers_stay_numbers() -> None:
    (cells,) = read_csv(lines.csv([row()]))
    assert cells[lines.COLUMNS.index("rating")] == "5"


def written_comment(comment: str) -> str:
    (cells,) = read_csv(lines.csv([row(comment=comment)]))
    return cells[lines.COLUMNS.index("comment")]


def test_csv_begins_with_its_first_name_and_no_mark() -> None:
    assert lines.csv_header().startswith(b"job_id,account,")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
@example("=")
@example("'=")
def test_a_csv_reader_gets_the_text_back(comment: str) -> None:
    """Whole, with one apostrophe before it at most, and never as a text with one would be written."""
    written = written_comment(comment)
    assert written in (comment, f"'{comment}")
    assert written != written_comment(f"'{comment}")


def test_csv_leaves_out_the_object_and_writes_nothing_for_nothing() -> None:
    assert lines.csv([row(b'{"a":1}', comment=None)]) == (
        b"job-1,accounts/1,locations/1,a,accounts/1/locations/1/reviews/a,5,,A. Guest,2024-01-01T00:00:00Z,,\r\n"
    )


def test_documented_written_and_read_fields_are_the_same() -> None:
    written = [field.name for field in msgspec.structs.fields(lines.ReviewLine)]
    assert written == list(ReviewView.model_fields) == list(ReviewRow._fields)


def read_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))
