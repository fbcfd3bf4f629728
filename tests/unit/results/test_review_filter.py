"""Which reviews a filter means, and what is refused as one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.models.instants import NANOSECONDS, begin_of, instant_of
from app.models.review_filter import ReviewFilter, folded

MICROSECOND = 1000

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones | st.just(UTC))


@given(moments)
def test_a_time_is_the_same_instant_wherever_it_was_written(moment: datetime) -> None:
    since_epoch = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert instant_of(moment.isoformat()) == since_epoch * MICROSECOND
    assert instant_of(moment.astimezone(UTC).isoformat().replace("+00:00", "Z")) == since_epoch * MICROSECOND


def test_nine_digits_behind_the_second_count() -> None:
    whole = instant_of("2026-01-31T09:30:00Z")
    assert whole is not None
    assert instant_of("2026-01-31T09:30:00.000000001Z") == whole + 1
    assert instant_of("2026-01-31t09:30:00.1z") == whole + NANOSECONDS // 10
    assert instant_of("1969-12-31T23:59:59.9Z") == -NANOSECONDS // 10


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-31", "2026-01-31T09:30:00", "2026-01-31 09:30:00Z", "2026-02-30T00:00:00Z"]
    + ["0000-01-01T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T09:30:00+24:00", "２０２６-01-31T09:30:00Z"]
    + ["20260131T093000Z", "2026-W05-6", "1769851800", "2026-01-31T09:30:00Z "],
)
def test_what_is_no_rfc_3339_time_is_none(text: str) -> None:
    assert instant_of(text) is None


def test_a_date_begins_at_midnight_utc() -> None:
    assert begin_of("2026-01-31") == begin_of("2026-01-31T00:00:00Z") == begin_of("2026-01-31T01:00:00+01:00")


@pytest.mark.parametrize(
    ("sought", "written"),
    [
        ("STRASSE", "In der Straße"),
        ("éclair", "E\u0301CLAIR"),
        ("ΠΟΛΥ ΚΑΛΟΣ", "πολύ καλός".replace("ύ", "υ").replace("ό", "ο")),
    ]
    + [("привет", "ПРИВЕТ!"), ("cafe", "ＣＡＦＥ"), ("ﬁne", "FINE"), ("100%", "Was 100% good")],
)
def test_letters_are_alike_in_every_alphabet(sought: str, written: str) -> None:
    wanted = ReviewFilter(text=sought)
    assert wanted.fits(written, None, None)
    assert wanted.fits(None, None, written)
    assert not wanted.fits("Something else", None, None)
    assert not wanted.fits(None, None, None)


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_since_leaves_out_what_is_older_or_has_no_time_that_can_be_read() -> None:
    wanted = ReviewFilter(since="2026-01-31T10:30:00+01:00")
    assert wanted.fits(None, "2026-01-31T09:30:00Z", None)
    assert wanted.fits(None, "2026-01-31T08:30:00.000000001-01:00", None)
    assert not wanted.fits(None, "2026-01-31T09:29:59.999999999Z", None)
    assert not wanted.fits(None, "tomorrow", None)
    assert not wanted.fits(None, None, None)


def test_everything_that_is_set_has_to_apply() -> None:
    wanted = ReviewFilter(since="2026-01-31", text="good")
    assert wanted.fits("Good", "2026-02-01T00:00:00Z", None)
    assert not wanted.fits("Good", "2026-01-01T00:00:00Z", None)
    assert not wanted.fits("Bad", "2026-02-01T00:00:00Z", None)


def test_a_filter_as_parameters_is_the_same_however_it_was_put_together() -> None:
    wanted = ReviewFilter(rating=frozenset({"none", "1", "5"}), has_reply=False, location="locations/1", text="a&b")
    assert wanted.parameters() == [
        ("location", "locations/1"),
        ("text", "a&b"),
        ("rating", "1"),
        ("rating", "5"),
        ("rating", "none"),
        ("has_reply", "false"),
    ]


def test_other_filters_have_other_digests() -> None:
    filters = [
        ReviewFilter(),
        ReviewFilter(has_reply=True),
        ReviewFilter(has_reply=False),
        ReviewFilter(text="1"),
        ReviewFilter(rating=frozenset({"1"})),
        ReviewFilter(rating=frozenset({"1", "2"})),
        ReviewFilter(location="locations/1"),
        ReviewFilter(since="2026-01-31"),
    ]
    assert len({wanted.digest() for wanted in filters}) == len(filters)
    assert [wanted.is_everything for wanted in filters] == [True] + [False] * 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"location": "1"},
        {"location": "accounts/1/locations/1"},
        {"location": "locations/"},
        {"location": "locations/1/reviews"},
        {"location": "locations/\0"},
        {"rating": ["6"]},
        {"rating": ["0"]},
        {"rating": [""]},
        {"since": "yesterday"},
        {"since": "2026-02-30"},
        {"since": "2026-01-31T09:30:00"},
        {"has_reply": "perhaps"},
        {"text": ""},
        {"text": "x" * 201},
        {"colour": "red"},
    ],
    ids=str,
)
def test_what_is_no_filter_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReviewFilter.model_validate(wrong)
