"""One budget as one process knows it: plain synchronous decisions, no I/O. Times are monotonic seconds."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from app.limits.cooldown import PROVEN, Cooldown
from app.limits.permits import Permit, Wait
from app.limits.rules import Limits
from app.limits.waiters import Waiter, Waiters

FULLY_OPEN = 64
"""Calls at once from which a re-opening is complete."""

LOST_CALL_SECONDS = 60.0
"""A call of a re-opening whose end nobody reported by then (a call takes 30 s at most) no longer holds it up."""

SHORTEST_PAUSE = 0.001
"""Shorter ones would only spin until the clock has moved."""

VALID_SECONDS = 0.25
"""How long after its permit a call may be sent; more on the way to Google than this is not counted on."""


@dataclass(slots=True)
class LocalShare:
    """A share, dated on this process's monotonic clock from before it was asked for: it ends here first."""

    number: int
    left: int
    size: int
    asked_at: float
    granted_at: float
    expires_at: float
    last_used_at: float

    def report(self) -> tuple[int, int, float]:
        """Number, unused calls, and the latest time of a call on the database's clock."""
        return self.number, self.left, self.granted_at + (self.last_used_at - self.asked_at)


@dataclass(slots=True)
class Hold:
    """Nothing to be had before `until`; `answer` is what those hear who cannot wait so long (`at_once`: all)."""

    until: float
    answer: Wait
    at_once: bool = False


@dataclass(slots=True, eq=False)
class Gate:
    """The share in hand, the queue before it, what closes it, and how far it has re-opened.

    `allowed` is the number of calls at once while re-opening, None once fully open. `good` are those that
    went well since, and not yet told to the store. `calls_closing` are 429s on
    their way to the store: until their answer nobody passes. `wall` tells what this process's wall clock will show at
    a monotonic moment; `cooldown` is in the database's time, `closed_until` and `told_until` are its end in ours.
    """

    project: str
    api: str
    limits: Limits
    limited: bool
    wall: Callable[[float], float]
    known: bool = False
    share: LocalShare | None = None
    waiters: Waiters = field(default_factory=Waiters)
    hold: Hold | None = None
    rounds: int = 0
    used_of_last_share: int = 0
    cooldown: Cooldown = field(default_factory=Cooldown)
    closed_until: float = -math.inf
    told_until: float = 0.0
    closings: int = 0
    calls_closing: int = 0
    allowed: int | None = None
    outstanding: int = 0
    good: int = 0
    last_given_at: float = -math.inf

    def can_give(self, now: float) -> bool:
        """Whether a call may be made now."""
        if self.closed_until > now or self.calls_closing or (self.allowed is not None and self.is_full(now)):
            return False
        if not self.limited:
            return self.known
        return self.share is not None and self.share.left > 0 and now < self.share.expires_at

    def is_full(self, now: float) -> bool:
        """Whether a re-opening has as many calls under way as it allows."""
        if self.allowed is None or self.outstanding < self.allowed:
            return False
        if now - self.last_given_at > LOST_CALL_SECONDS:
            self.outstanding = 0
        return self.outstanding >= self.allowed

    def give(self, now: float) -> Permit:
        """Spend one call. Only after `can_give`."""
        if self.share is not None:
            self.share.left -= 1
            self.share.last_used_at = now
        if self.allowed is not None:
            self.outstanding += 1
            self.last_given_at = now
        return Permit(self.project, self.api, now, self.closings)

    def take_back(self, permit: Permit) -> None:
        """A permit whose taker was cancelled before it heard of it."""
        share = self.share
        if share is not None and permit.sent_at >= share.asked_at:
            share.left = min(share.size, share.left + 1)
        self.ended(permit)

    def ended(self, permit: Permit) -> bool:
        """A call is over. True when it belongs to the re-opening now under way."""
        if self.allowed is None or permit.closings != self.closings:
            return False
        self.outstanding = max(0, self.outstanding - 1)
        return True

    def went_well(self, permit: Permit) -> bool:
        """A call went well: one more at once, which doubles them each round. True once that is proof enough."""
        if not self.ended(permit) or self.allowed is None:
            return False
        self.allowed += 1
        self.good += 1
        proven = self.allowed == 1 + PROVEN
        if self.allowed >= FULLY_OPEN:
            self.allowed, self.outstanding = None, 0
        return proven

    def closed(self, cooldown: Cooldown, until: float) -> bool:
        """Learn of a cooldown that ends at `until` here; False when it is no news.

        Which of two is newer is told by our clock: the database's may have been set back between them.
        """
        if not cooldown.streak or cooldown.is_same(self.cooldown) or until <= self.closed_until:
            return False
        self.cooldown, self.closed_until, self.told_until = cooldown, until, self.wall(until)
        self.closings += 1
        self.allowed, self.outstanding, self.good = 1, 0, 0
        return True

    def knows_of(self, permit: Permit, until: float) -> bool:
        """Whether a 429 to this call that asks to wait `until` is part of the closing under way, and no news."""
        belongs = permit.closings != self.closings and permit.sent_at < self.closed_until
        return belongs and until <= self.closed_until

    def detach(self, now: float) -> LocalShare | None:
        """The share in hand, from now on to be reported and no longer used."""
        share, self.share = self.share, None
        lately = share is not None and now < share.expires_at
        self.used_of_last_share = share.size - share.left if share is not None and lately else 0
        return share

    def take_good(self) -> int:
        """The calls that went well and are now told to the store."""
        good, self.good = self.good, 0
        return good

    def wanted(self) -> int:
        """Calls to ask for: those who wait, and as many again as came while the last share lasted.

        While re-opening no more than may be made at once: the others' tries are counted against the same number.
        """
        wanted = len(self.waiters) + self.used_of_last_share
        return wanted if self.allowed is None else min(wanted, self.allowed - self.outstanding)

    def serve(self, now: float) -> None:
        """Answer the queue in turn: permits while there are any, Wait to those who would wait too long."""
        while self.waiters and self.can_give(now):
            waiter = self.waiters.pop_next()
            if not waiter.answer.done():
                self.waiters.note_call(waiter.tenant)
                waiter.answer.set_result(self.give(now))
        blocking = self.blocking(now)
        for waiter in [waiter for waiter in self.waiters if self._gives_up(waiter, blocking, now)]:
            self.waiters.remove(waiter)
            if not waiter.answer.done():
                waiter.answer.set_result(blocking.answer if blocking else self._next_in_turn(now))

    def blocking(self, now: float) -> Hold | None:
        """What is known to keep everybody out beyond now."""
        if self.closed_until > now:
            return Hold(self.closed_until, Wait(self.told_until, self.cooldown.reason))
        if self.hold is not None and self.hold.until > now:
            return self.hold
        return None

    def pause(self, now: float) -> float:
        """Seconds for which asking for a share is useless; 0 when it is time to ask."""
        if self.calls_closing or self.is_full(now):  # news of either wakes the queue
            return max(SHORTEST_PAUSE, min(waiter.deadline for waiter in self.waiters) - now)
        blocking = self.blocking(now)
        return blocking.until - now if blocking else 0.0

    def _gives_up(self, waiter: Waiter, blocking: Hold | None, now: float) -> bool:
        if waiter.answer.done():
            return True
        if blocking is not None:
            return blocking.at_once or waiter.deadline < blocking.until
        asked_for = self.rounds > waiter.round or self.calls_closing > 0 or self.is_full(now)
        return waiter.deadline <= now and asked_for

    def _next_in_turn(self, now: float) -> Wait:
        return Wait(self.wall(now) + 1.0, "other calls are waiting for the same quota")
