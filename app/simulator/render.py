"""Review objects as bytes, put together from ready-made pieces: a page costs a fraction of a millisecond."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from app.simulator.catalogue import RATING_CYCLES, Catalogue
from app.simulator.fragments import Fragments
from app.simulator.numbers import WORD, mix

_DAY = 86_400
_END = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())  # the newest reviews of an unchanged world
_SPAN = 11 * 365 * _DAY
_LONGEST_STEP = 20 * _DAY

FRAGMENTS = Fragments()


class Entry(NamedTuple):
    """A review in a location's order. `moment` is the number of its last change: the review's own number if none."""

    review: int
    moment: int


@lru_cache(maxsize=8192)
def _date(day: int) -> bytes:
    return datetime.fromtimestamp(day * _DAY, UTC).strftime("%Y-%m-%d").encode()


def timestamp(seconds: int, fraction: bytes) -> bytes:
    """RFC 3339 in UTC with the given fraction, which ends in Z."""
    day, second = divmod(seconds, _DAY)
    minute, second = divmod(second, 60)
    return _date(day) + FRAGMENTS.minutes[minute] + FRAGMENTS.seconds[second] + fraction


class ReviewWriter:
    """Writes the reviews of one location as an account names them."""

    def __init__(self, catalogue: Catalogue, account: int, location: int) -> None:
        identifier = catalogue.location_ids.encode(location)
        name = f"accounts/{catalogue.account_ids.encode(account)}/locations/{identifier}/reviews/"
        self._location = location
        self._salt = mix(catalogue.seed, location)
        self._ratings = RATING_CYCLES[self._salt & 3]
        self._encode_id = catalogue.review_id_codec.encode
        count = max(1, catalogue.size(location))
        self._step = max(2, min(_LONGEST_STEP, _SPAN // count))
        self._start = _END - count * self._step - self._salt % _DAY
        self._head = b'{"name":"' + name.encode()
        self._url = f',"reviewReplyUrl":"https://search.google.com/local/reviews?id={identifier}&review='.encode()

    def write(self, entry: Entry) -> bytes:
        """One Review as compact JSON."""
        review, moment = entry
        bits = self._bits(review, moment)
        identifier = self._encode_id(self._location, review)
        updated = self._start + moment * self._step + (bits >> 28 & 0xFFFFF) % self._step
        fraction = FRAGMENTS.fractions[bits >> 20 & 255]
        update_time = timestamp(updated, fraction)
        unedited = review == moment and bits >> 60
        return b"".join(
            (
                self._head,
                identifier,
                b'","reviewId":"',
                identifier,
                b'",',
                FRAGMENTS.reviewers[(self._salt >> 7) + review * 619 & 1023],
                b",",
                FRAGMENTS.bodies[self._ratings[review & 15]][bits & 511],
                b',"createTime":"',
                update_time if unedited else self._created(review, updated, fraction),
                b'","updateTime":"',
                update_time,
                b'"',
                self._extras(bits, updated, identifier),
                self._url,
                identifier,
                b'"}',
            )
        )

    def _bits(self, review: int, moment: int) -> int:
        value = ((self._salt ^ moment * 0xC2B2AE3D27D4EB4F) + review) & WORD
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        return value ^ (value >> 31)

    def _created(self, review: int, updated: int, fraction: bytes) -> bytes:
        """Before the edit; a review that was touched again keeps the time of its own number."""
        return timestamp(min(updated, self._start + review * self._step) - 3 * _DAY, fraction)

    @staticmethod
    def _extras(bits: int, updated: int, identifier: bytes) -> bytes:
        reply = FRAGMENTS.replies[bits >> 50 & 511]
        if reply:
            reply += timestamp(updated + 7200, b"Z") + b'"}'
        if bits >> 44 & 31:
            return reply
        photo = b"https://lh3.googleusercontent.com/simulated/" + identifier
        return reply + b',"reviewMediaItems":[{"thumbnailUrl":"' + photo + b'=w250-h250"}]'
