"""Reviewers dropped: nothing of them is left in the columns or in Google's object, and all else is as it came."""

import json

import pytest

from app.google.unnamed import without_reviewer
from app.google.wire import decode_reviews
from app.models.review import Review

REVIEWER = '{"displayName": "Ann Other", "profilePhotoUrl": "https://lh3.example/ann"}'


def only(source: str) -> Review:
    page = decode_reviews(f'{{"reviews":[{source}],"totalReviewCount":1}}'.encode(), first_page=True)
    return page.reviews[0]


@pytest.mark.parametrize(
    "reviewer",
    [
        f'"reviewer": {REVIEWER}',
        f'"reviewer": {REVIEWER}, "reviewer": {{"displayName": "Ann Again"}}',
        f'"\\u0072eviewer": {REVIEWER}',
        '"reviewer": ["Ann", {"deep": "Ann"}]',
        '"reviewer": "Ann"',
    ],
)
def test_nothing_of_the_reviewer_is_left(reviewer: str) -> None:
    whole = only(f'{{"reviewId": "r1", {reviewer}, "starRating": "FIVE", "unknown": {{"a": [1.50, "\\ud83d"]}}}}')
    found = without_reviewer(whole)
    assert found.reviewer is None
    assert b"Ann" not in found.raw
    assert b"lh3" not in found.raw
    assert found._replace(reviewer=whole.reviewer, raw=whole.raw) == whole


def test_the_other_members_keep_their_bytes() -> None:
    source = f'{{ "z" : 1.50e0 , "reviewer":{REVIEWER}, "reviewId":"r1","nested": {{ "reviewer" : [ 1,  2 ] }} }}'
    assert without_reviewer(only(source)).raw == b'{"z":1.50e0,"reviewId":"r1","nested":{ "reviewer" : [ 1,  2 ] }}'


def test_an_object_that_only_the_careful_reader_reads_is_written_anew() -> None:
    source = f'{{"reviewId": "r1", "\\ud83d": 1, "reviewer": {REVIEWER}}}'
    found = without_reviewer(only(source))
    assert json.loads(found.raw) == {"reviewId": "r1", "\ud83d": 1}


def test_an_object_that_nobody_reads_is_not_kept() -> None:
    broken = Review("r1", "", None, None, "Ann", None, None, None, b'{"reviewer": {"displayName": "Ann')
    assert without_reviewer(broken).raw == b'{"reviewId":"r1"}'
