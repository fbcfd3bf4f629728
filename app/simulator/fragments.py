"""Pieces of JSON that review pages are put together from, encoded once when the simulator starts."""

import json
from random import Random
from typing import Any

from app.simulator import texts

BODIES = 512  # per rating
REVIEWERS = 1024
REPLIES = 512
FRACTIONS = 256
RATING_WORDS = ("STAR_RATING_UNSPECIFIED", "ONE", "TWO", "THREE", "FOUR", "FIVE")


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8, as Google sends it with prettyPrint=false."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _members(value: dict[str, Any]) -> bytes:
    """The members of an object without its braces."""
    return encode(value)[1:-1]


def _comment(random: Random, rating: int) -> str | None:
    kind = random.random()
    if kind < 0.25:
        return None  # rating only
    if kind < 0.28:
        return random.choice(texts.EMOJI_ONLY)
    sentences = random.choice(texts.LANGUAGES).of(rating)
    chosen = random.sample(sentences, random.randint(1, len(sentences)))
    original = " ".join(native for native, _ in chosen)
    english = " ".join(translated for _, translated in chosen if translated)
    return f"(Translated by Google) {english}\n\n(Original)\n{original}" if english else original


def _body(random: Random, rating: int) -> bytes:
    body: dict[str, Any] = {"starRating": RATING_WORDS[rating]}
    comment = _comment(random, rating)
    if comment is not None:
        body["comment"] = comment
    return _members(body)


def _reviewer(random: Random) -> bytes:
    if random.random() < 0.06:
        return _members({"reviewer": {"displayName": "A Google user", "isAnonymous": True}})
    name = f"{random.choice(texts.FIRST_NAMES)} {random.choice(texts.LAST_NAMES)}"
    photo = f"https://lh3.googleusercontent.com/a/simulated-{random.getrandbits(80):020x}=s120-c"
    return _members({"reviewer": {"profilePhotoUrl": photo, "displayName": name}})


def _reply(random: Random) -> bytes:
    """The reply up to its open `updateTime` string, or nothing for the larger half that has none."""
    if random.random() < 0.6:
        return b""
    reply: dict[str, Any] = {"comment": random.choice(texts.REPLIES)}
    state = random.choices(("APPROVED", "PENDING", "REJECTED", None), (80, 8, 4, 8))[0]
    if state is not None:
        reply["reviewReplyState"] = state
    if state == "REJECTED":
        reply["policyViolation"] = random.choice(texts.POLICY_VIOLATIONS)
    return b',"reviewReply":{' + _members(reply) + b',"updateTime":"'


def _fraction(random: Random) -> bytes:
    """RFC 3339 as protobuf prints it: 0, 3, 6 or 9 digits."""
    digits = random.choice((0, 3, 6, 6, 6, 9))
    if digits == 0:
        return b"Z"
    return b".%0*dZ" % (digits, random.randrange(1, 10**digits))


class Fragments:
    """All pieces; the same in every world, because the seed already picks among them."""

    def __init__(self) -> None:
        random = Random(20_150_101)
        self.bodies = ([b""], *([_body(random, rating) for _ in range(BODIES)] for rating in range(1, 6)))
        self.reviewers = [_reviewer(random) for _ in range(REVIEWERS)]
        self.replies = [_reply(random) for _ in range(REPLIES)]
        self.fractions = [_fraction(random) for _ in range(FRACTIONS)]
        self.minutes = [b"T%02d:%02d:" % divmod(minute, 60) for minute in range(1440)]
        self.seconds = [b"%02d" % second for second in range(60)]
