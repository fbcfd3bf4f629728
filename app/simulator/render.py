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

_MOMENT_FACTOR = 0xC2B2AE3D27D4EB4F
_MIX_FACTOR = 0xBF58476D1CE4E5B9
_PHOTO = b',"reviewMediaItems":[{"thumbnailUrl":"https://lh3.googleusercontent.com/simulated/%b=w250-h250"}]'

_PIECES = Fragments()
_BODIES, _REVIEWERS, _REPLIES = _PIECES.bodies, _PIECES.reviewers, _PIECES.replies
_FRACTIONS, _MINUTES, _SECONDS = _PIECES.fractions, _PIECES.minutes, _PIECES.seconds


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
    return _date(day) + _MINUTES[minute] + _SECONDS[second] + fraction


class ReviewWriter:
    """Writes the reviews of one location as an account names them."""

    def __init__(self, catalogue: Catalogue, account: int, location: int) -> None:
        identifier = catalogue.location_ids.encode(location)
        name = f"accounts/{catalogue.account_ids.encode(account)}/locations/{identifier}/reviews/"
        self._salt = mix(catalogue.seed, location)
        self._ratings = RATING_CYCLES[self._salt & 3]
        self._encode_id = catalogue.review_id_codec.encoder(location)
        count = max(1, catalogue.size(location))
        self._step = max(2, min(_LONGEST_STEP, _SPAN // count))
        self._start = _END - count * self._step - self._salt % _DAY
        self._head = b'{"name":"' + name.encode()
        self._url = f',"reviewReplyUrl":"https://search.google.com/local/reviews?id={identifier}&review='.encode()

    def write(self, entry: Entry) -> bytes:
        """One Review as compact JSON. Written for speed: a page is fifty of these."""
        review, moment = entry
        bits = ((self._salt ^ moment * _MOMENT_FACTOR) + review) & WORD
        bits = ((bits ^ (bits >> 30)) * _MIX_FACTOR) & WORD
        bits ^= bits >> 31
        identifier = self._encode_id(review)
        updated = self._start + moment * self._step + (bits >> 28 & 0xFFFFF) % self._step
        fraction = _FRACTIONS[bits >> 20 & 255]
        update_time = timestamp(updated, fraction)
        create_time = update_time
        if review != moment or not bits >> 60:
            create_time = self._created(review, updated, fraction)
        reply = _REPLIES[bits >> 50 & 511]
        if reply:
            reply += timestamp(updated + 7200, b"Z") + b'"}'
        if not bits >> 44 & 31:
            reply += _PHOTO % identifier
        reviewer = _REVIEWERS[(self._salt >> 7) + review * 619 & 1023]
        body = _BODIES[self._ratings[review & 15]][bits & 511]
        return b'%b%b","reviewId":"%b",%b,%b,"createTime":"%b","updateTime":"%b"%b%b%b"}' % (
            self._head,
            identifier,
            identifier,
            reviewer,
            body,
            create_time,
            update_time,
            reply,
            self._url,
            identifier,
        )

    def _created(self, review: int, updated: int, fraction: bytes) -> bytes:
        """Before the edit; a review that was touched again keeps the time of its own number."""
        return timestamp(min(updated, self._start + review * self._step) - 3 * _DAY, fraction)
