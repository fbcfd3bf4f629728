"""The arithmetic of a budget that several processes share: pure functions over a state kept in the store.

A share lets its holder make `count` calls until `expires_at`. When each call was made is known only afterwards, so
every call has a latest moment: the holder's report, or the share's end. Two rules make promise 6 exact.

- While a share is outstanding all its calls count, and nothing of them is refilled or ages out.
- Settled, they count as made at their latest moment.

For a window in which the last granted call was granted at g, every other call in it has its latest moment inside
[start of the window, …], and all of these were counted when the share was granted at g, before the window's end.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from app.limits import cooldown as cooldowns
from app.limits.bucket import ROUNDING, Level, fits
from app.limits.cooldown import Cooldown
from app.limits.line import Line, Waits, after, others, part
from app.limits.rules import MINUTE, TRANSIT_SECONDS, Limits
from app.limits.served import Account, counted

SLOT_SECONDS = 0.5
"""Calls of a minute window are kept by half seconds, rounded up: at most some 125 entries, half a percent lost."""

MIDNIGHT_PAUSE_SECONDS = 0.05
"""No share is worth lending for less than this before the day ends."""

TRY_SECONDS = 0.25
"""How long a replica waits while another one tries whether Google has opened again."""

TRYING = "another call tries whether it is over: {}"

CLOCK_STEP_SECONDS = 5.0
"""A state further than this in the future means that the database's clock was set back."""


class Share(msgspec.Struct, frozen=True, array_like=True):
    """`count` calls for `holder`, usable until `expires_at`; unreported at `settles_at`, all count as made."""

    number: int
    holder: str
    granted_at: float
    expires_at: float
    settles_at: float
    count: int


class BudgetState(msgspec.Struct, frozen=True):
    """All that is known of one budget. Times are epoch seconds of the database.

    `minute` holds [slot, calls], oldest first; `day` is the calendar day (ordinal) that `day_count` belongs to.
    `line` are the replicas that wait, `served` is what tenants got lately.
    """

    version: int = 1
    level: Level = Level()
    minute: tuple[tuple[int, int], ...] = ()
    day: int = 0
    day_count: int = 0
    shares: tuple[Share, ...] = ()
    next_share: int = 1
    cooldown: Cooldown = Cooldown()
    line: Line = ()
    served: Account = msgspec.field(default_factory=dict)


class Refusal(NamedTuple):
    """Nothing for `wait_seconds`, that is until `until` (epoch seconds); `reason` is a sentence for people."""

    wait_seconds: float
    reason: str
    until: float


class Grant(NamedTuple):
    """A share, and what will be true of the next one when this one held fewer calls than were wanted."""

    share: Share
    then: Refusal | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(BudgetState)


def encode(state: BudgetState) -> bytes:
    """Compact JSON, about 100 bytes, 3 kB with a full minute window."""
    return _encoder.encode(state)


def decode(raw: bytes | None) -> BudgetState:
    """The state in `raw`, a fresh one for None. Raises ValueError for bytes another version wrote."""
    state = _decoder.decode(raw) if raw is not None else BudgetState()
    if state.version != 1:
        raise ValueError(f"a budget of version {state.version} was written by a newer release")
    return state


def take(
    state: BudgetState, limits: Limits, now: float, wanted: int, holder: str
) -> tuple[BudgetState, Grant | Refusal]:
    """A share of at most `wanted` calls, or how long to wait for one."""
    state = brought_to(state, limits, now)
    if now < state.cooldown.until:
        return state, Refusal(state.cooldown.until - now, state.cooldown.reason, state.cooldown.until)
    wanted = max(1, min(wanted, limits.share_size))
    free = min((window.free(state, limits, now) for window in active(limits)), default=wanted)
    count = min(wanted, part(state.line, holder, free, now))
    if count >= 1 and (count := int(min(count, _tries(state)))) < 1:
        return state, Refusal(TRY_SECONDS, TRYING.format(state.cooldown.reason), now + TRY_SECONDS)
    all_want = wanted + others(state.line, holder, now)
    if count < 1:
        refusal = _refusal(state, limits, now, all_want)
        return _in_line(state, holder, 0, Waits(wanted, refusal.until), now), refusal
    state, share = _lend(state, limits, now, count, holder)
    if count == wanted:
        return _in_line(state, holder, count, None, now), Grant(share, None)
    then = _refusal(_settled(state, limits, share, count, now), limits, now, all_want)
    return _in_line(state, holder, count, Waits(wanted - count, then.until), now), Grant(share, then)


def give_back(state: BudgetState, limits: Limits, share_number: int, unused: int, last_used_at: float) -> BudgetState:
    """The living holder's report: `unused` calls are free again, the others were made by `last_used_at`.

    Changes nothing when the share has settled meanwhile: what then counts as made can no longer be taken out of
    a bucket that may have run full since.
    """
    share = next((share for share in state.shares if share.number == share_number), None)
    if share is None:
        return state
    unused = max(0, min(unused, share.count))
    if limits.day and limits.day_of(share.granted_at) == state.day:
        state = replace(state, day_count=state.day_count - unused)
    used_at = min(share.expires_at, max(share.granted_at, last_used_at))
    return _settled(state, limits, share, share.count - unused, used_at)


def close(
    state: BudgetState, now: float, call_sent_at: float, retry_after: float | None, random: Callable[[], float]
) -> BudgetState:
    """The state after a 429: see `cooldown.after_429`."""
    return replace(state, cooldown=cooldowns.after_429(state.cooldown, now, call_sent_at, retry_after, random))


def told(state: BudgetState, given: Mapping[str, float], now: float) -> BudgetState:
    """The state once a replica has told what it gave to each tenant."""
    return replace(state, served=counted(state.served, given, now)) if given else state


def waiting(state: BudgetState, limits: Limits, now: float) -> Refusal | None:
    """Until when, and why, nobody could be granted a call; None when somebody could. For who does not want a share."""
    _, answer = take(replace(state, line=()), limits, now, 1, "")
    return answer if isinstance(answer, Refusal) else None


def went_well(state: BudgetState, seen: Cooldown, count: int) -> BudgetState:
    """The state once `count` calls went well after `seen`, the closing that their caller knows of."""
    return replace(state, cooldown=cooldowns.after_good_calls(state.cooldown, seen, count))


def succeeded(state: BudgetState, call_sent_at: float) -> BudgetState:
    """The state once a re-opening is complete."""
    return replace(state, cooldown=cooldowns.after_reopening(state.cooldown, call_sent_at))


def brought_to(state: BudgetState, limits: Limits, now: float) -> BudgetState:
    """What `now` makes of the state: overdue shares settle, old entries go, a new day begins."""
    state = _with_clock_set_back(state, limits, now)
    for share in sorted(state.shares, key=lambda share: share.expires_at):
        if share.settles_at <= now:
            state = _settled(state, limits, share, share.count, share.expires_at)
    kept = tuple(entry for entry in state.minute if _leaves_at(entry) > now)
    if len(kept) < len(state.minute):
        state = replace(state, minute=kept)
    if state.cooldown.until > now + cooldowns.LONGEST_SECONDS:  # only a clock set back makes it so long
        state = replace(state, cooldown=replace(state.cooldown, until=now + cooldowns.LONGEST_SECONDS))
    if limits.day and limits.day_of(now) > state.day:
        state = replace(state, day=limits.day_of(now), day_count=0)
    return state


@dataclass(frozen=True)
class Window:
    """One kind of limit: how many calls it leaves, when it will leave `count`, and when (epoch seconds) all of them
    again, where all shares have settled and nobody calls."""

    name: str
    limit: Callable[[Limits], float]
    free: Callable[[BudgetState, Limits, float], int]
    ready_in: Callable[[BudgetState, Limits, float, int], float]
    whole_at: Callable[[BudgetState, Limits, float], float]
    reason: str


def active(limits: Limits) -> list[Window]:
    """The windows that are not off."""
    return [window for window in _WINDOWS if window.limit(limits)]


def all_settled(state: BudgetState, limits: Limits) -> BudgetState:
    """As if every share on loan were used to its end."""
    for share in sorted(state.shares, key=lambda share: share.expires_at):
        state = _settled(state, limits, share, share.count, share.expires_at)
    return state


def outstanding(state: BudgetState) -> int:
    """Calls on loan."""
    return sum(share.count for share in state.shares)


def _tries(state: BudgetState) -> float:
    """Calls of all replicas that a re-opening still allows at once: one, then one more for each that went well."""
    if not state.cooldown.streak:
        return math.inf
    trying = sum(share.count for share in state.shares if share.granted_at >= state.cooldown.until)
    return 1 + state.cooldown.good - trying


def _in_line(state: BudgetState, holder: str, got: int, more: Waits | None, now: float) -> BudgetState:
    return replace(state, line=after(state.line, holder, got, more, now))


def _lend(state: BudgetState, limits: Limits, now: float, count: int, holder: str) -> tuple[BudgetState, Share]:
    expires_at = now + limits.share_seconds
    if limits.day:  # a share never crosses midnight: its calls belong to one day
        expires_at = min(expires_at, limits.end_of_day(now) - TRANSIT_SECONDS)
        state = replace(state, day_count=state.day_count + count)
    share = Share(state.next_share, holder, now, expires_at, expires_at + limits.share_seconds, count)
    return replace(state, shares=(*state.shares, share), next_share=share.number + 1), share


def _settled(state: BudgetState, limits: Limits, share: Share, used: int, used_at: float) -> BudgetState:
    shares = tuple(other for other in state.shares if other.number != share.number)
    if not used:
        return replace(state, shares=shares)
    level, minute = state.level, state.minute
    if limits.capacity:
        level = level.with_taken(used, used_at + limits.bucket_transit, limits.rate)
    if limits.minute:
        minute = _with_entry(minute, math.ceil((used_at + TRANSIT_SECONDS) / SLOT_SECONDS), used)
    return replace(state, shares=shares, level=level, minute=minute)


def _with_entry(minute: tuple[tuple[int, int], ...], slot: int, count: int) -> tuple[tuple[int, int], ...]:
    counts = dict(minute)
    counts[slot] = counts.get(slot, 0) + count
    return tuple(sorted(counts.items()))


def _leaves_at(entry: tuple[int, int]) -> float:
    return entry[0] * SLOT_SECONDS + MINUTE + ROUNDING


def _with_clock_set_back(state: BudgetState, limits: Limits, now: float) -> BudgetState:
    """Everything dated in the future is taken to happen now, later than it did: waiting for the clock could take
    hours, and forgetting would refill."""
    moments = [state.level.at, *(share.granted_at for share in state.shares)]
    moments += [entry[0] * SLOT_SECONDS for entry in state.minute[-1:]]
    if max(moments) <= now + CLOCK_STEP_SECONDS:
        return state
    last_use = now + limits.share_seconds
    for share in state.shares:
        state = _settled(state, limits, share, share.count, last_use)
    latest = math.ceil((last_use + TRANSIT_SECONDS) / SLOT_SECONDS)
    minute: tuple[tuple[int, int], ...] = ()
    for slot, count in state.minute:
        minute = _with_entry(minute, min(slot, latest), count)
    level = Level(state.level.taken, min(state.level.at, last_use + TRANSIT_SECONDS))
    return replace(state, level=level, minute=minute, day=min(state.day, limits.day_of(now)))


def _refusal(state: BudgetState, limits: Limits, now: float, wanted: int) -> Refusal:
    """The wait for as many as are wanted, but not much longer than for the first of them."""
    soonest, window = max(
        ((window.ready_in(state, limits, now, 1), window) for window in active(limits)), key=lambda pair: pair[0]
    )
    all_of_them = max(window.ready_in(state, limits, now, wanted) for window in active(limits))
    wait = max(0.001, soonest, min(all_of_them, soonest + limits.pause_seconds))
    return Refusal(wait, window.reason.format(window.limit(limits)), now + wait)


def _bucket_free(state: BudgetState, limits: Limits, now: float) -> int:
    taken = state.level.taken_at(now, limits.rate) + outstanding(state)
    return math.floor(limits.capacity - taken + ROUNDING)


def _bucket_ready_in(state: BudgetState, limits: Limits, now: float, count: int) -> float:
    count = min(count, int(limits.capacity))
    taken, lent = state.level.taken_at(now, limits.rate), outstanding(state)
    if not fits(lent, count, limits.capacity):
        return _first_settles_in(state, now)
    return max(0.0, (taken + lent + count - limits.capacity) / limits.rate)


def _bucket_whole_at(state: BudgetState, limits: Limits, now: float) -> float:
    return max(now, state.level.at + state.level.taken / limits.rate)


def _minute_free(state: BudgetState, limits: Limits, now: float) -> int:
    counted = sum(entry[1] for entry in state.minute if _leaves_at(entry) > now)
    return limits.minute - outstanding(state) - counted


def _minute_ready_in(state: BudgetState, limits: Limits, now: float, count: int) -> float:
    missing = min(count, limits.minute) - _minute_free(state, limits, now)
    if missing <= 0:
        return 0.0
    for entry in state.minute:
        missing -= entry[1]
        if missing <= 0:
            return _leaves_at(entry) - now
    return _first_settles_in(state, now)


def _minute_whole_at(state: BudgetState, _: Limits, now: float) -> float:
    return max([now, *(_leaves_at(entry) for entry in state.minute[-1:])])


def _day_free(state: BudgetState, limits: Limits, now: float) -> int:
    if limits.end_of_day(now) - now <= TRANSIT_SECONDS + MIDNIGHT_PAUSE_SECONDS:
        return 0
    return limits.day - state.day_count


def _day_ready_in(state: BudgetState, limits: Limits, now: float, count: int) -> float:
    if min(count, limits.day) <= _day_free(state, limits, now):
        return 0.0
    return limits.end_of_day(now) - now


def _day_whole_at(state: BudgetState, limits: Limits, now: float) -> float:
    return limits.end_of_day(now) if state.day_count else now


def _first_settles_in(state: BudgetState, now: float) -> float:
    return min((share.settles_at for share in state.shares), default=now) - now


_WINDOWS = (
    Window(
        "bucket",
        lambda limits: limits.capacity,
        _bucket_free,
        _bucket_ready_in,
        _bucket_whole_at,
        "the bucket of {:g} calls is empty",
    ),
    Window(
        "minute",
        lambda limits: limits.minute,
        _minute_free,
        _minute_ready_in,
        _minute_whole_at,
        "the {:g} calls of this minute are spent",
    ),
    Window(
        "day",
        lambda limits: limits.day,
        _day_free,
        _day_ready_in,
        _day_whole_at,
        "the {:g} calls of this day are spent",
    ),
)
