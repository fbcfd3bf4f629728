"""Cursors come back from strangers."""

import string
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.errors import BadCursorError
from app.store.cursors import (
    Cursor,
    DeadLettersCursor,
    FeedCursor,
    FilteredReviewsCursor,
    JobsCursor,
    LocationsCursor,
    ReviewsCursor,
    decode,
    decode_of_job,
    encode,
)

KINDS: list[type[Cursor]] = [
    JobsCursor,
    LocationsCursor,
    ReviewsCursor,
    FilteredReviewsCursor,
    DeadLettersCursor,
    FeedCursor,
]

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
numbers = st.integers(0, 2**63 - 1)
cursors = st.one_of(
    st.builds(JobsCursor, st.floats(allow_nan=False, allow_infinity=False), words),
    st.builds(LocationsCursor, words, words),
    st.builds(ReviewsCursor, words, words, words),
    st.builds(FilteredReviewsCursor, words, words, words, st.none() | words),
    st.builds(DeadLettersCursor, numbers),
    st.builds(FeedCursor, numbers, numbers, numbers, numbers),
)


def is_cursor(text: str, kind: type[Cursor]) -> bool:
    """Nothing but BadCursorError says no."""
    try:
        decode(text, kind)
    except BadCursorError:
        return False
    return True


@given(cursors)
def test_a_cursor_comes_back_as_it_was_given_and_needs_no_escaping(cursor: Cursor) -> None:
    text = encode(cursor)
    assert decode(text, type(cursor)) == cursor
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


@given(cursors, st.sampled_from(KINDS))
def test_a_cursor_of_another_listing_is_refused(cursor: Cursor, kind: type[Cursor]) -> None:
    if not isinstance(cursor, kind):
        with pytest.raises(BadCursorError):
            decode(encode(cursor), kind)


@given(st.text() | st.text(string.ascii_letters + string.digits + "-_=", max_size=40), st.sampled_from(KINDS))
def test_any_text_is_a_cursor_or_refused_as_one(text: str, kind: type[Cursor]) -> None:
    if is_cursor(text, kind):
        assert encode(decode(text, kind)) == text


@given(st.binary(max_size=60), st.sampled_from(KINDS))
def test_any_content_is_a_cursor_or_refused_as_one(content: bytes, kind: type[Cursor]) -> None:
    text = urlsafe_b64encode(content).rstrip(b"=").decode()
    if is_cursor(text, kind):
        assert encode(decode(text, kind)) == text


@pytest.mark.parametrize(
    "content",
    [
        '["d",-1]',
        '["d",9223372036854775808]',
        '["d",1.5]',
        '["d","1"]',
        '["d",1,2]',
        '["j",NaN,"a"]',
        '["j",1e999,"a"]',
        '["l","a\\u0000","b"]',
        '["l","a","\\ud800"]',
        '["l","a",' * 500,
        "[" * 4000,
    ],
)
def test_types_and_ranges_are_checked_before_any_query(content: str) -> None:
    text = urlsafe_b64encode(content.encode()).rstrip(b"=").decode()
    for kind in KINDS:
        with pytest.raises(BadCursorError):
            decode(text, kind)


def test_a_cursor_of_another_job_is_refused() -> None:
    text = encode(ReviewsCursor("job-1", "locations/1", "a"))
    assert decode_of_job(text, ReviewsCursor, "job-1").review_id == "a"
    with pytest.raises(BadCursorError):
        decode_of_job(text, ReviewsCursor, "job-2")
