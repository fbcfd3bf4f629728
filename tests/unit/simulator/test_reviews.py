"""The review data looks like Google's: times, orders, languages, and what is left out."""

import json
import re
from collections import Counter
from typing import Any

from app.simulator.catalogue import Catalogue
from app.simulator.render import Entry, ReviewWriter

CATALOGUE = Catalogue(reviews=2000)


def reviews_of(location: int, count: int = 2000) -> list[dict[str, Any]]:
    write = ReviewWriter(CATALOGUE, 0, location).write
    return [json.loads(write(Entry(number, number))) for number in reversed(range(count))]


def moment(text: str) -> str:
    """RFC 3339 with nine digits, so that texts compare as times do."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"


def test_reviews_are_newest_first_by_update_time() -> None:
    times = [moment(review["updateTime"]) for review in reviews_of(3)]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)


def test_times_have_0_3_6_or_9_fraction_digits_and_edits_come_after_creation() -> None:
    reviews = reviews_of(1)
    digits = {len(review["updateTime"].partition(".")[2].removesuffix("Z")) for review in reviews}
    assert digits == {0, 3, 6, 9}
    assert all(moment(review["createTime"]) <= moment(review["updateTime"]) for review in reviews)
    assert any(review["createTime"] != review["updateTime"] for review in reviews)


def test_ids_match_the_catalogue() -> None:
    name = CATALOGUE.location_name(2)
    reviews = reviews_of(2)
    assert [review["reviewId"] for review in reviews] == list(CATALOGUE.review_ids(name))
    assert reviews[0]["name"] == f"{CATALOGUE.account_name(0)}/{name}/reviews/{reviews[0]['reviewId']}"


def test_the_same_review_has_the_same_id_through_two_accounts() -> None:
    shared = Catalogue(accounts=2, shared_locations=1)
    first, second = (json.loads(ReviewWriter(shared, account, 0).write(Entry(5, 5))) for account in (0, 1))
    assert first["reviewId"] == second["reviewId"]
    assert first["name"] != second["name"]


def test_ratings_are_words_and_agree_with_the_catalogue() -> None:
    words = ("", "ONE", "TWO", "THREE", "FOUR", "FIVE")
    found = [review["starRating"] for review in reviews_of(4)]
    assert found == [words[CATALOGUE.rating(4, number)] for number in reversed(range(2000))]
    assert set(found) == set(words[1:])


def test_the_sum_of_ratings_needs_no_walk() -> None:
    walked = sum(CATALOGUE.rating(6, number) for number in range(1999))
    assert CATALOGUE.rating_sum(6, 1999) == walked


def test_texts_cover_what_a_client_meets() -> None:
    reviews = reviews_of(0)
    comments = [review["comment"] for review in reviews if "comment" in review]
    assert 0.6 < len(comments) / len(reviews) < 0.9, "some are rating only"
    assert any("(Translated by Google) " in text and "\n\n(Original)\n" in text for text in comments)
    everything = " ".join(comments)
    scripts = {"а-яі": 1, "ぁ-ん": 1, "一-龥": 1, "가-힣": 1, "ء-ي": 1, "א-ת": 1, "ऀ-ॿ": 1, "ก-๛": 1, "α-ω": 1}
    assert all(re.search(f"[{letters}]", everything) for letters in scripts)
    assert "😍" in everything
    assert "\u200d" in everything, "emoji with joiners"


def test_reviewers_are_named_with_photo_or_anonymous_without() -> None:
    kinds = Counter(frozenset(review["reviewer"]) for review in reviews_of(0))
    assert set(kinds) == {frozenset({"profilePhotoUrl", "displayName"}), frozenset({"displayName", "isAnonymous"})}


def test_replies_have_states_and_a_violation_only_when_rejected() -> None:
    replies = [review["reviewReply"] for review in reviews_of(0) if "reviewReply" in review]
    states = {reply.get("reviewReplyState") for reply in replies}
    assert states == {"APPROVED", "PENDING", "REJECTED", None}
    assert all(("policyViolation" in reply) == (reply.get("reviewReplyState") == "REJECTED") for reply in replies)


def test_some_reviews_have_pictures_and_all_a_reply_url() -> None:
    reviews = reviews_of(0)
    pictures = [review["reviewMediaItems"] for review in reviews if "reviewMediaItems" in review]
    assert 0 < len(pictures) < 200
    assert all(review["reviewReplyUrl"].startswith("https://") for review in reviews)
