"""Pages of reviews: what is documented, what is odd, and what is broken."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.google import wire
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import ReviewsPage
from app.google.wire import decode_reviews
from app.models.review import Review
from tests.unit.google.server import outcome

NAME = "accounts/1/locations/2/reviews/r1"


def page(body: bytes) -> ReviewsPage:
    return decode_reviews(body, first_page=True)


def only(source: bytes) -> Review:
    """The review whose object is `source`."""
    reviews = page(b'{"reviews": [' + source + b"]}").reviews
    assert len(reviews) == 1
    assert reviews[0].raw == source
    return reviews[0]


def fields(**item: Any) -> Review:
    return only(json.dumps({"reviewId": "r1", **item}).encode())


def broken(body: bytes) -> str:
    with pytest.raises(GoogleAPIError) as caught:
        page(body)
    assert caught.value.kind is ErrorKind.TRANSIENT
    return caught.value.reason


def test_a_whole_review() -> None:
    source = (
        '{"name":"accounts/1/locations/2/reviews/r1","reviewId":"r1","reviewer":{"displayName":"Zoë","isAnonymous":false},'
        '"starRating":"FOUR","comment":"Très bien \\n 😀","createTime":"2025-01-02T03:04:05Z",'
        '"updateTime":"2025-01-02T03:04:05.678Z","reviewReply":{"comment":"Merci","updateTime":"2025-01-03T00:00:00Z"},'
        '"reviewReplyUrl":"https://example.com/","newField":[1,{"x":null}]}'
    ).encode()
    assert only(source) == Review(
        review_id="r1",
        name=NAME,
        rating=4,
        comment="Très bien \n 😀",
        reviewer="Zoë",
        create_time="2025-01-02T03:04:05Z",
        update_time="2025-01-02T03:04:05.678Z",
        reply="Merci",
        raw=source,
    )


def test_totals_and_the_next_page() -> None:
    body = b'{"reviews":[],"averageRating":4.3,"totalReviewCount":120,"nextPageToken":"p2"}'
    assert page(body) == ReviewsPage([], 120, 4.3, "p2")


def test_an_empty_object_on_the_first_page_means_no_reviews() -> None:
    assert page(b"{}") == ReviewsPage([], 0, None, None)


@pytest.mark.parametrize("body", [b'{"nextPageToken":"p2"}', b'{"reviews":[{}]}'])
def test_a_missing_total_beside_something_is_unknown(body: bytes) -> None:
    assert page(body).total is None


def test_an_empty_page_later_says_nothing_about_the_total() -> None:
    assert decode_reviews(b"{}", first_page=False).total is None


@pytest.mark.parametrize(
    ("word", "rating"),
    [
        *[("ONE", 1), ("TWO", 2), ("THREE", 3), ("FOUR", 4), ("FIVE", 5)],
        *[("STAR_RATING_UNSPECIFIED", None), ("SIX", None), ("five", None), ("", None), (None, None)],
        *[(5, None), (4.5, None), (True, None), (["FIVE"], None), ({}, None)],
    ],
)
def test_a_rating_is_one_to_five_or_nothing(word: object, rating: int | None) -> None:
    assert fields(starRating=word).rating == rating


def test_a_review_without_a_rating_has_none() -> None:
    assert fields().rating is None


@pytest.mark.parametrize("odd", [5, 1.5, True, [], {}, ["x"], {"a": "b"}])
@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("name", "name"),
        ("comment", "comment"),
        ("createTime", "create_time"),
        ("updateTime", "update_time"),
    ],
)
def test_a_field_of_the_wrong_type_is_none_and_the_rest_stays(field: str, column: str, odd: object) -> None:
    review = fields(**{"starRating": "FIVE", field: odd})
    assert getattr(review, column) == ("" if column == "name" else None)
    assert (review.review_id, review.rating) == ("r1", 5)


@pytest.mark.parametrize("odd", ["x", 5, True, [], {}, None, {"displayName": 5, "comment": 5}])
def test_an_odd_reviewer_or_reply_is_none(odd: object) -> None:
    review = fields(reviewer=odd, reviewReply=odd)
    assert (review.reviewer, review.reply) == (None, None)


def test_one_odd_review_does_not_touch_its_neighbours() -> None:
    body = b'{"reviews":[{"reviewId":"a","comment":"x"}, {"reviewId":"b","comment":5} ,7,{"reviewId":"c"}]}'
    reviews = page(body).reviews
    assert [(review.comment, review.raw) for review in reviews] == [
        ("x", b'{"reviewId":"a","comment":"x"}'),
        (None, b'{"reviewId":"b","comment":5}'),
        (None, b"7"),
        (None, b'{"reviewId":"c"}'),
    ]


@pytest.mark.parametrize("item", [b"null", b"5", b'"x"', b"[]", b"{}", b"true", b"-1.5e3"])
def test_an_item_without_any_id_is_known_by_its_bytes(item: bytes) -> None:
    assert only(item).review_id == f"sha256:{sha256(item).hexdigest()}"


@pytest.mark.parametrize("review_id", [None, "", 5, []])
def test_without_a_review_id_the_name_gives_it(review_id: object) -> None:
    assert fields(reviewId=review_id, name=NAME).review_id == "r1"


def test_a_name_that_ends_in_a_slash_gives_no_id() -> None:
    assert fields(reviewId=None, name="accounts/1/").review_id.startswith("sha256:")


def test_half_an_emoji_is_replaced_in_the_column_and_untouched_in_raw() -> None:
    source = rb'{"reviewId":"r1","comment":"half \ud83d and whole \ud83d\ude00","reviewer":{"displayName":"\ude00"}}'
    review = only(source)
    assert review.comment == "half \ufffd and whole 😀"
    assert review.reviewer == "\ufffd"


def test_nul_is_replaced_in_the_column_and_untouched_in_raw() -> None:
    assert only(rb'{"reviewId":"r1","comment":"a\u0000b \\u0000"}').comment == "a\ufffdb \\u0000"


def test_half_an_emoji_in_an_unknown_field_harms_nothing() -> None:
    assert only(rb'{"reviewId":"r1","unknown":{"\udead":["\ud83d"]}}').review_id == "r1"


def test_ids_that_cannot_be_stored_stay_two() -> None:
    ids = {only(source).review_id for source in (rb'{"reviewId":"a\ud800"}', rb'{"reviewId":"a\u0000"}')}
    assert len(ids) == 2
    assert all(review_id.startswith("sha256:") for review_id in ids)


def test_raw_is_cut_out_where_the_same_text_stands_elsewhere_too() -> None:
    body = rb'{"a":"\ud800","reviews":[],"b":{"reviews":[{"c":1}]},"x":"]}","reviews" : [ {"c" :1 },{"c":1}, [ ] ] }'
    assert [review.raw for review in page(body).reviews] == [b'{"c" :1 }', b'{"c":1}', b"[ ]"]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000, b"9" * 25, b"1.5"])
def test_numbers_out_of_range_harm_nothing(number: bytes) -> None:
    assert only(b'{"reviewId":"r1","comment":5,"x":' + number + b"}").review_id == "r1"


@pytest.mark.parametrize(
    ("value", "total"),
    [("5", 5), ("0", 0), ('"12"', 12), ('"-1"', None), ('"x"', None), ("-1", None), ("2147483648", None)]
    + [(value, None) for value in ("1.5", "true", "null", "[]", "9" * 400, '"99999999999"', '"\u0661"')],
)
def test_a_total_is_a_count_or_nothing(value: str, total: int | None) -> None:
    assert page(f'{{"reviews":[{{}}],"totalReviewCount":{value}}}'.encode()).total == total


@pytest.mark.parametrize(
    ("value", "average"),
    [("5", 5.0), ("4.25", 4.25), ("0", 0.0), ("-1", None), ("6", None), ("1e999", None), ('"4"', None), ("true", None)],
)
def test_an_average_is_at_most_five_or_nothing(value: str, average: float | None) -> None:
    assert page(f'{{"averageRating":{value}}}'.encode()).average == average


@pytest.mark.parametrize("value", [b"null", b'""'])
def test_an_empty_page_token_means_the_last_page(value: bytes) -> None:
    assert page(b'{"nextPageToken":' + value + b"}").next_page_token is None
    assert page(b'{"totalReviewCount":"x","nextPageToken":' + value + b"}").next_page_token is None


@pytest.mark.parametrize("value", [b"5", b"[]", b"{}", b"true", rb'"\ud800"', rb'"a\u0000"'])
def test_a_page_token_that_cannot_be_sent_back_is_a_broken_answer(value: bytes) -> None:
    assert broken(b'{"nextPageToken":' + value + b"}") == "invalid_json"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "cut"),
        (b'{"reviews":[{"reviewId":"r', "cut"),
        (b'{"reviews":[{"reviewId"', "cut"),
        (b'{"reviews":[{},', "cut"),
        ('{"reviews":[{"comment":"é'.encode()[:-1], "cut"),
        (b"[]", "invalid_json"),
        (b"5", "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"reviews":5}', "invalid_json"),
        (b'{"reviews":{}}', "invalid_json"),
        (b'{"reviews":"[]"}', "invalid_json"),
        (b'{"reviews":[NaN]}', "invalid_json"),
        (b'{"reviews":[{"comment":"a\nb"}]}', "invalid_json"),
        (b'{"reviews":[{"x":"\xff"}]}', "invalid_json"),
        (b'{"reviews":[]} x', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        ("{}".encode("utf-16"), "invalid_json"),
        (b'{"reviews":[' + b"[" * 50_000 + b"]" * 50_000 + b"]}", "invalid_json"),
        (b'{"reviews":[' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}", "invalid_json"),
    ],
)
def test_what_is_no_page_is_a_broken_answer(body: bytes, reason: str) -> None:
    assert broken(body) == reason


@pytest.mark.parametrize(
    "error", [b'{"code":503,"status":"UNAVAILABLE"}', b'"backendError"', b"{}", rb'"\ud83d"', b"0"]
)
@pytest.mark.parametrize("rest", [b"", b',"reviews":[{"reviewId":"r1"}],"totalReviewCount":1', b',"reviews":[5]'])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_the_place_of_a_page_is_no_empty_list(error: bytes, rest: bytes, first: bool) -> None:
    with pytest.raises(GoogleAPIError) as caught:
        decode_reviews(b'{"error":' + error + rest + b"}", first_page=first)
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.TRANSIENT, "invalid_json")


def test_an_error_that_is_null_or_within_a_review_is_none_of_the_page() -> None:
    assert [
        review.review_id for review in page(b'{"error":null,"reviews":[{"reviewId":"r1","error":{}}]}').reviews
    ] == ["r1"]


def test_null_instead_of_a_list_means_an_empty_one() -> None:
    assert page(b'{"reviews":null}').reviews == []


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = ["name", "reviewId", "reviewer", "starRating", "comment", "createTime", "updateTime", "reviewReply", "new"]
ITEM = st.dictionaries(st.sampled_from(KEYS), VALUE | st.fixed_dictionaries({"comment": VALUE, "displayName": VALUE}))
SPACE = st.text(" \t\n\r", max_size=2)


@given(st.lists(ITEM | VALUE, max_size=5), SPACE, st.booleans())
def test_every_item_is_kept_with_its_bytes_untouched(items: list[object], space: str, escape: bool) -> None:
    # Lone surrogates have no UTF-8: they can only come escaped.
    sources = [json.dumps(item, ensure_ascii=escape or has_surrogate(item)).encode() for item in items]
    gap = space.encode()
    body = gap + b'{"new":[{}],"reviews"' + gap + b":[" + gap + (gap + b"," + gap).join(sources) + gap + b"]}" + gap
    reviews = page(body).reviews
    assert [review.raw for review in reviews] == sources
    for review in reviews:
        columns = "".join(value for value in review if isinstance(value, str))
        assert "\x00" not in columns
        columns.encode()
        assert review.review_id
        assert review.rating in {None, 1, 2, 3, 4, 5}


def has_surrogate(item: object) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in json.dumps(item, ensure_ascii=False))


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(max_size=5),
                "reviewId": st.text(max_size=5),
                "starRating": st.sampled_from(["ONE", "FIVE", "SIX"]),
                "comment": st.text(max_size=5),
                "reviewer": st.dictionaries(st.just("displayName"), st.text(max_size=5)),
                "reviewReply": st.dictionaries(st.just("comment"), st.text(max_size=5)),
            },
        )
    ),
    st.integers(0, 9),
    st.floats(1, 5),
    st.text(max_size=3).filter(lambda text: "\x00" not in text),
)
def test_the_quick_and_the_careful_reading_agree(
    items: list[dict[str, Any]], total: int, average: float, token: str
) -> None:
    document = {"reviews": items, "totalReviewCount": total, "averageRating": average, "nextPageToken": token}
    body = json.dumps(document).encode()
    quick = wire._quick(body)
    assert (quick is None) == (b"\\u0000" in body)
    assert quick is None or quick == wire._careful(body)


@given(st.binary(max_size=60) | VALUE.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_page_or_a_broken_answer(body: bytes) -> None:
    read = outcome(page, body)
    assert isinstance(read, ReviewsPage) or (isinstance(read, GoogleAPIError) and read.kind is ErrorKind.TRANSIENT)


@given(
    st.dictionaries(st.sampled_from(["reviews", "totalReviewCount", "averageRating", "nextPageToken"]), VALUE),
    st.integers(0, 200),
)
def test_any_page_cut_anywhere_is_a_page_or_a_broken_answer(document: dict[str, Any], length: int) -> None:
    read = outcome(page, json.dumps(document).encode()[:length])
    assert isinstance(read, ReviewsPage) or (
        isinstance(read, GoogleAPIError) and read.reason in {"cut", "invalid_json"}
    )


def test_an_id_that_no_index_can_hold_becomes_a_digest_and_two_of_them_stay_two() -> None:
    long = "x" * 10_000
    ids = [fields(reviewId=long).review_id, fields(reviewId=long + "y").review_id]
    ids += [fields(reviewId=None, name=f"accounts/1/{long}z").review_id]
    assert all(review_id.startswith("sha256:") for review_id in ids)
    assert len(set(ids)) == 3
    assert fields(reviewId="x" * 500).review_id == "x" * 500
