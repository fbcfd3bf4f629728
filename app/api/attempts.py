"""Failed attempts to get in: limited per client address, counted, and logged without flooding the log.

Each address has a token bucket: a wrong key takes one, and they come back evenly within a minute. While it is empty no
key from there is looked at, except one that was let in from there before: whoever shares an address with an attacker
goes on working. A request without a key is no attempt at guessing one, so it is counted and takes nothing.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import structlog

from app.api.errors import TooManyAttemptsError
from app.clock import Clock
from app.limits.bucket import Level, fits
from app.store.keys import prefix_of
from app.telemetry.events import Event

PER_MINUTE = 30
"""Wrong keys of one address, at once or within a minute."""

MOST_ADDRESSES = 10_000
"""Remembered at once, 300 bytes each; the one that failed longest ago is forgotten first."""

MOST_KNOWN = 10_000
"""Keys remembered with the address from which they were let in."""

LOGGED_PER_MINUTE = 60
"""Records of failures from all addresses together; the next record after a pause says how many were left out."""

MINUTE = 60.0

MISSING, WRONG, LIMITED = "missing", "wrong", "limited"
"""Why somebody was not let in: the values of the counter's label."""

Counted = Callable[[str], None]

log = structlog.get_logger(__name__)


class FailedAttempts:
    """Of one process; replicas count apart. `per_minute` 0: no limit. `count` is told each refusal's reason."""

    def __init__(self, clock: Clock, per_minute: int = PER_MINUTE, count: Counted = lambda _reason: None) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._count = count
        self._failed: OrderedDict[str, Level] = OrderedDict()
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._log = _BoundedLog(clock)

    def check(self, address: str | None, digest: bytes) -> None:
        """Raises TooManyAttemptsError for an address that has failed too often, unless the key is known from there.

        `digest`: of the key; the key itself is not remembered.
        """
        network = network_of(address)
        seconds = self._seconds_closed(network)
        if seconds > 0 and (network, digest) not in self._known:
            self._count(LIMITED)
            raise TooManyAttemptsError(seconds)

    def let_in(self, address: str | None, digest: bytes) -> None:
        """The key was valid."""
        known = (network_of(address), digest)
        self._known[known] = None
        self._known.move_to_end(known)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def without_key(self) -> None:
        """A request that needs a key came without one."""
        self._count(MISSING)

    def wrong(self, address: str | None, key: str, digest: bytes) -> None:
        """The key was not valid. Of the key only the prefix is logged, if it has the form of ours."""
        self._count(WRONG)
        network = network_of(address)
        self._known.pop((network, digest), None)
        if self._per_minute:
            self._take(network)
        self._log.failed(address, prefix_of(key), self._seconds_closed(network))

    def _take(self, network: str) -> None:
        level = self._failed.get(network, Level())
        self._failed[network] = level.with_taken(1, self._clock.monotonic(), self._per_minute / MINUTE)
        self._failed.move_to_end(network)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def _seconds_closed(self, network: str) -> float:
        """Until one more may fail; 0: now."""
        level = self._failed.get(network)
        if level is None:
            return 0.0
        rate = self._per_minute / MINUTE
        taken = level.taken_at(self._clock.monotonic(), rate)
        return 0.0 if fits(taken, 1, self._per_minute) else (taken + 1 - self._per_minute) / rate


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 address, which is what a customer is given."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class _BoundedLog:
    """One record a failure while they are few."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._level = Level()
        self._left_out = 0

    def failed(self, address: str | None, prefix: str | None, seconds_closed: float) -> None:
        now, rate = self._clock.monotonic(), LOGGED_PER_MINUTE / MINUTE
        if not fits(self._level.taken_at(now, rate), 1, LOGGED_PER_MINUTE):
            self._left_out += 1
            return
        self._level = self._level.with_taken(1, now, rate)
        told = {"closed_seconds": round(seconds_closed, 1)} if seconds_closed else {}
        if self._left_out:
            told["left_out"], self._left_out = self._left_out, 0
        log.warning(Event.AUTHENTICATION_FAILED, address=address, key=prefix, **told)
