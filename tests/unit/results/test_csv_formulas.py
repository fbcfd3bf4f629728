"""No cell of an exported table calculates, whatever people wrote (ASVS 5.0 1.2.10, CSV and formula injection)."""

import re
import unicodedata
from typing import Any

import pytest

from app.results import lines
from app.store.review_pages import ReviewRow
from tests.support.csv_corpus import BREAKING, FORMULAS

TEXTS = [name for name in lines.COLUMNS if name != "rating"]

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')


def strictly(content: bytes) -> list[list[str]]:
    """RFC 4180 to the letter: commas, CRLF, quotes only around whole cells and doubled within. Else AssertionError."""
    text, rows, at = content.decode(), list[list[str]]([[]]), 0
    while at < len(text):
        found = _CELL.match(text, at)
        assert found, ascii(text[at : at + 40])
        quoted, plain, end = found.groups()
        rows[-1].append(plain if quoted is None else quoted.replace('""', '"'))
        rows += [[]] if end == "\r\n" else []
        at = found.end()
    assert rows.pop() == []
    return rows


def is_inert(cell: str) -> bool:
    """By another road than the product: what is left without all that is no letter, digit or visible mark."""
    if cell.startswith("'"):
        return True
    seen = [one for one in cell if unicodedata.category(one) not in ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Pi", "Pf")]
    first = unicodedata.normalize("NFKC", "".join(seen).lstrip("\"'"))[:1]
    return first not in ("=", "+", "-", "@", "\u2212") and not cell.startswith(("\t", "\r", "\n", "\0"))


def given_back(cell: str) -> str:
    """As docs/api.md says: of a cell that would be a formula one apostrophe is dropped."""
    return cell[1:] if cell.startswith("'") and not is_inert(cell.lstrip("'")) else cell


def test_the_corpus_is_large_and_of_formulas() -> None:
    assert len(set(FORMULAS)) == len(FORMULAS) >= 60
    assert [ascii(text) for text in FORMULAS if not text.startswith("'") and is_inert(text)] == []


@pytest.mark.parametrize("column", TEXTS)
def test_every_cell_of_every_column_of_texts_is_inert_and_gives_its_text_back(column: str) -> None:
    texts = [*FORMULAS, *BREAKING]
    empty: dict[str, Any] = dict.fromkeys(lines.COLUMNS, "x") | {"rating": 5, "raw": b"{}"}
    rows = strictly(lines.csv([ReviewRow(**empty | {column: text}) for text in texts]))
    assert [len(row) for row in rows] == [len(lines.COLUMNS)] * len(texts)
    written = [row[lines.COLUMNS.index(column)] for row in rows]
    assert [ascii(cell) for cell in written if not is_inert(cell)] == []
    assert [given_back(cell) for cell in written] == texts
    assert all(cell.startswith("'") for cell in written[: len(FORMULAS)])


def test_a_text_that_is_quoted_already_is_told_from_one_that_was_quoted() -> None:
    cells = [lines.csv([_commented(text)]) for text in ("=1", "'=1", "''=1")]
    assert len(set(cells)) == 3


def _commented(text: str) -> ReviewRow:
    return ReviewRow("j", "a", "l", "r", "n", 5, text, None, None, None, None, b"{}")
