"""What the gates of one process tell the store that all replicas share, and what they learn from it."""

from collections.abc import Callable, Mapping

import structlog

from app.clock import Clock
from app.limits import windows
from app.limits.cooldown import Cooldown, after_429
from app.limits.gate import Gate, Hold, LocalShare
from app.limits.permits import BudgetStore, Permit, Wait
from app.limits.windows import BudgetState, Grant, Refusal
from app.telemetry.events import Event

STORE_RETRY_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 30.0
"""A refusal is asked again after this, however long it is: others may have given back what they held."""

log = structlog.get_logger(__name__)


class Exchange:
    """One transaction for each question; every answer also tells of the closings that others met."""

    def __init__(self, store: BudgetStore, holder: str, clock: Clock, random: Callable[[], float]) -> None:
        """`holder` is unique per start of a process."""
        self._store = store
        self._holder = holder
        self._clock = clock
        self._random = random
        self._ahead = clock.now() - clock.monotonic()

    async def take_share(self, gate: Gate) -> None:
        """Ask for permits for those who wait at a limited gate: a share, or until when none is given. Raises what the
        store raises."""
        asked_at = self._clock.monotonic()
        old, wanted, good, seen = gate.detach(asked_at), gate.wanted(), gate.take_good(), gate.cooldown
        given = gate.waiters.take_given()

        def change(raw: bytes | None, now: float) -> tuple[bytes, tuple[float, BudgetState, Grant | Refusal]]:
            state = windows.decode(raw)
            if old is not None:
                state = windows.give_back(state, gate.limits, *old.report())
            state = windows.told(windows.went_well(state, seen, good), given, now)
            state, answer = windows.take(state, gate.limits, now, wanted, self._holder)
            return windows.encode(state), (now, state, answer)

        now, state, answer = await self._store.change_budget(gate.project, gate.api, change)
        self._learn(gate, state.cooldown, now, asked_at)
        gate.waiters.note_others(state.served, given)
        refusal = answer.then if isinstance(answer, Grant) else answer
        if isinstance(answer, Grant):
            gate.share = _local(answer.share, asked_at)
        gate.hold = self._hold(refusal) if refusal else None

    async def return_share(self, gate: Gate) -> None:
        """Give back what is left of the gate's share, if it has one. Never raises for the store."""
        share = gate.detach(self._clock.monotonic())
        if share is None:
            return
        good, seen = gate.take_good(), gate.cooldown

        def change(raw: bytes | None, _: float) -> tuple[bytes, None]:
            state = windows.give_back(windows.decode(raw), gate.limits, *share.report())
            return windows.encode(windows.went_well(state, seen, good)), None

        try:
            await self._store.change_budget(gate.project, gate.api, change)
        except Exception as error:  # it then counts as made, when it settles
            log.warning(Event.BUDGET_SHARE_NOT_RETURNED, project=gate.project, api=gate.api, error=type(error).__name__)

    async def close(self, gate: Gate, permit: Permit, retry_after: float | None) -> None:
        """Close the budget for everyone after a 429; with the store away here alone. Never raises for the store."""
        asked_at = self._clock.monotonic()
        age = asked_at - permit.sent_at

        def change(raw: bytes | None, now: float) -> tuple[bytes, tuple[float, Cooldown]]:
            state = windows.decode(raw)
            sent_at = now - age
            if permit.closings == gate.closings and state.cooldown.is_same(gate.cooldown):
                sent_at = max(sent_at, state.cooldown.until)  # by our clock; the database's may have been set back
            state = windows.close(state, now, sent_at, retry_after, self._random)
            return windows.encode(state), (now, state.cooldown)

        try:
            now, cooldown = await self._store.change_budget(gate.project, gate.api, change)
        except Exception as error:  # nobody else can be told; this process still keeps away
            log.warning(Event.BUDGET_CLOSED_HERE_ONLY, project=gate.project, api=gate.api, error=type(error).__name__)
            now = asked_at + self._ahead
            cooldown = after_429(gate.cooldown, now, now - age, retry_after, self._random)
        if self._learn(gate, cooldown, now, asked_at):
            seconds = round(cooldown.until - now, 1)
            log.warning(Event.BUDGET_CLOSED, project=gate.project, api=gate.api, seconds=seconds)

    async def forget_streak(self, gate: Gate, permit: Permit) -> None:
        """Calls go well again: the next closing starts from the short wait. Never raises for the store."""
        age = self._clock.monotonic() - permit.sent_at

        def change(raw: bytes | None, now: float) -> tuple[bytes, None]:
            return windows.encode(windows.succeeded(windows.decode(raw), now - age)), None

        try:
            await self._store.change_budget(gate.project, gate.api, change)
        except Exception as error:  # the next closing then starts from a longer wait, no more
            log.warning(Event.BUDGET_STREAK_KEPT, project=gate.project, api=gate.api, error=type(error).__name__)

    async def learn(self, gates: Mapping[tuple[str, str], Gate]) -> None:
        """Learn of every budget's cooldown; `gates` by (project, API). Raises what the store raises."""
        asked_at = self._clock.monotonic()
        now, rows = await self._store.read_budgets()
        for project, api, raw in rows:
            if gate := gates.get((project, api)):
                self._learn(gate, windows.decode(raw).cooldown, now, asked_at)

    def note_away(self, gate: Gate, error: Exception) -> None:
        """The store did not answer: no share before it is asked again."""
        log.warning(Event.BUDGET_STORE_AWAY, project=gate.project, api=gate.api, error=type(error).__name__)
        until = self._clock.monotonic() + STORE_RETRY_SECONDS
        reason = "the store that keeps the quota cannot be reached"
        gate.hold = Hold(until, Wait(self.wall(until), reason), at_once=True)

    def wall(self, moment: float) -> float:
        """What our wall clock shows at the monotonic `moment`: what is due is compared with it, whatever time the
        database keeps."""
        return self._clock.now() + (moment - self._clock.monotonic())

    def _learn(self, gate: Gate, cooldown: Cooldown, now: float, asked_at: float) -> bool:
        """Whether a cooldown is news. `now` is the database's time of an answer to a question asked at `asked_at`;
        late is the safe side."""
        heard_at = self._clock.monotonic()
        self._ahead = now - asked_at
        return gate.closed(cooldown, heard_at + (cooldown.until - now))

    def _hold(self, refusal: Refusal) -> Hold:
        now = self._clock.monotonic()
        seconds = min(refusal.wait_seconds, LONGEST_HOLD_SECONDS)
        return Hold(now + seconds, Wait(self.wall(now + refusal.wait_seconds), refusal.reason))


def _local(share: windows.Share, asked_at: float) -> LocalShare:
    life = share.expires_at - share.granted_at
    return LocalShare(share.number, share.count, share.count, asked_at, share.granted_at, asked_at + life, asked_at)
