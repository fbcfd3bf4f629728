"""How numbers, times and texts are written on a page."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.console.formats import (
    EXCERPT,
    breakable,
    duration,
    excerpt,
    google_moment,
    machine,
    moment,
    number,
    readable_json,
    words,
)


def test_numbers_have_separators_and_at_most_one_digit_behind_the_point() -> None:
    assert [number(value) for value in (0, 1234567, 12.0, 1234.56)] == ["0", "1,234,567", "12", "1,234.6"]


def test_times_are_written_in_utc() -> None:
    value = datetime(2026, 11, 27, 15, 32, 5, tzinfo=timezone(timedelta(hours=1)))
    assert (moment(value), machine(value)) == ("2026-11-27 14:32:05", "2026-11-27T14:32:05Z")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-1, "0 s"), (89.4, "89 s"), (90, "2 min"), (720, "12 min"), (12_000, "3 h 20 min"), (172_800, "2 days")],
)
def test_durations_are_as_exact_as_people_need(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_times_of_google_are_read_and_what_is_none_is_left_alone() -> None:
    assert google_moment("2020-05-17T10:01:35.477457924Z") == datetime(2020, 5, 17, 10, 1, 35, 477457, UTC)
    for text in (None, "", "yesterday", "2020-05-17", "0001-01-01T00:00:00+14:00"):
        assert google_moment(text) is None


def test_a_list_shows_the_beginning_of_a_long_text() -> None:
    assert excerpt("x" * EXCERPT) == "x" * EXCERPT
    assert excerpt("x" * 100_000) == "x" * EXCERPT + "…"


def test_the_machines_words_are_written_as_people_write_them() -> None:
    assert [words(name) for name in ("needs_token", "http_503", "httpish")] == ["needs token", "HTTP 503", "httpish"]


def test_readable_json_is_the_same_json_without_anything_that_hides() -> None:
    value = {"comment": "\u202eevil\u200b\ud83d", "name": "Größe 👍", "nested": [{"a": None}]}
    text = readable_json(value)
    assert json.loads(text) == value
    assert "\\u202eevil\\u200b\\ud83d" in text
    assert "Größe 👍" in text


def test_words_longer_than_any_word_can_be_broken_and_stay_escaped() -> None:
    assert breakable("<b>an ordinary text</b> " * 100) == "&lt;b&gt;an ordinary text&lt;/b&gt; " * 100
    assert breakable("<" * 401) == "<wbr>".join(["&lt;" * 200, "&lt;" * 200, "&lt;"])
    assert str(breakable("a" * 199 + "e\u0301" + "b")).startswith("a" * 199 + "e\u0301")
