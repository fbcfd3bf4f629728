"""Page tokens belong to one request; masks select what they name and refuse what does not exist."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator import fields, pages
from app.simulator.fields import LOCATION_SCHEMA, REVIEWS_SCHEMA, MaskError
from app.simulator.pages import PageTokenError, Position


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535), st.text(max_size=20))
def test_a_token_leads_back_to_its_position(offset: int, copy: int, binding: str) -> None:
    assert pages.decode(pages.encode(Position(offset, copy), binding), binding) == (offset, copy)


def test_no_token_is_the_first_page() -> None:
    assert pages.decode("", "anything") == (0, 0)


@pytest.mark.parametrize("token", ["x", "AAAA", "ÄÖ", "=" * 20, pages.encode(Position(50), "another request")])
def test_a_token_of_another_request_is_refused(token: str) -> None:
    with pytest.raises(PageTokenError):
        pages.decode(token, "this request")


PAGE = {
    "reviews": [{"name": "n", "reviewer": {"displayName": "d", "isAnonymous": True}, "comment": "c"}],
    "totalReviewCount": 1,
    "nextPageToken": "t",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nextPageToken", {"nextPageToken": "t"}),
        ("reviews/comment", {"reviews": [{"comment": "c"}]}),
        ("reviews(name,reviewer/displayName)", {"reviews": [{"name": "n", "reviewer": {"displayName": "d"}}]}),
        ("reviews(reviewer(isAnonymous))", {"reviews": [{"reviewer": {"isAnonymous": True}}]}),
        ("totalReviewCount,nextPageToken", {"totalReviewCount": 1, "nextPageToken": "t"}),
        ("reviews/reviewer/*", {"reviews": [{"reviewer": {"displayName": "d", "isAnonymous": True}}]}),
        ("*", PAGE),
        ("reviews/name, reviews/comment", {"reviews": [{"name": "n", "comment": "c"}]}),
    ],
)  # fmt: skip
def test_a_mask_selects_what_it_names(text: str, expected: object) -> None:
    assert fields.select(PAGE, fields.parse(text, REVIEWS_SCHEMA)) == expected


@pytest.mark.parametrize(
    "text", ["nope", "reviews/nope", "reviews(name", "reviews)", "a,,b", "reviews(", "name", "*/nope", "rev;iews"]
)
def test_a_mask_that_names_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(MaskError):
        fields.parse(text, REVIEWS_SCHEMA)


def test_a_read_mask_is_a_list_of_dotted_paths() -> None:
    mask = fields.parse_paths("name,metadata.hasVoiceOfMerchant", LOCATION_SCHEMA)
    value = {"name": "n", "title": "t", "metadata": {"hasVoiceOfMerchant": True, "placeId": "p"}}
    assert fields.select(value, mask) == {"name": "n", "metadata": {"hasVoiceOfMerchant": True}}


@pytest.mark.parametrize("text", ["*", "name(title)", "metadata/placeId", "metadata.nope", "reviews"])
def test_a_read_mask_knows_neither_brackets_nor_other_fields(text: str) -> None:
    with pytest.raises(MaskError):
        fields.parse_paths(text, LOCATION_SCHEMA)
