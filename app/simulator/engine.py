"""Decides call by call which faults fire, and counts what did."""

import time
from collections import Counter, OrderedDict, deque
from random import Random
from typing import Any, NamedTuple, TypeVar

import msgspec

from app.simulator.calls import Api, Call
from app.simulator.faults import AnyRule, Distort, Ending, Faults, Mutate, Quota, RefusedPageToken, Rule

_METERED: tuple[Api, ...] = ("accounts", "locations", "reviews")
_REMEMBERED = 100_000
AnyFault = TypeVar("AnyFault", bound=Rule)


class Plan(NamedTuple):
    """The faults that fire in one call."""

    fired: tuple[AnyRule, ...] = ()

    def first(self, kind: type[AnyFault]) -> AnyFault | None:
        return next((rule for rule in self.fired if isinstance(rule, kind)), None)

    @property
    def outcome(self) -> str:
        """The ending's name, else the names of all that fired, else "ok"."""
        ending = self.first(Ending)
        return ending.name if ending else "+".join(rule.name for rule in self.fired) or "ok"


_NOTHING = Plan()


class FaultEngine:
    """The faults in force. Replace, add to or clear them at any time, between two calls."""

    def __init__(self, faults: Faults) -> None:
        self.fired: Counter[str] = Counter()
        self.replace(faults)

    def replace(self, faults: Faults) -> None:
        """New faults from now on, with fresh counts per rule and a fresh quota."""
        self.settings = faults
        self._random = Random(faults.seed)
        self._seen = [0] * len(faults.rules)
        self._hits = [0] * len(faults.rules)
        self._in_a_row: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._windows: dict[tuple[int, Api], _Window] = {}

    def add(self, *rules: AnyRule) -> None:
        """Further rules, behind those in force, which go on counting."""
        self.settings = msgspec.structs.replace(self.settings, rules=(*self.settings.rules, *rules))
        self._seen += [0] * len(rules)
        self._hits += [0] * len(rules)

    def report(self) -> dict[str, Any]:
        """The settings, how often each rule matched and fired, and how often each fault fired since the start."""
        rules = [
            {"rule": rule, "seen": seen, "fired": hits}
            for rule, seen, hits in zip(self.settings.rules, self._seen, self._hits, strict=True)
        ]
        return {"settings": self.settings, "rules": rules, "fired": dict(self.fired)}

    def jitter(self) -> float:
        """0 to 1, from the same seeded source."""
        return self._random.random()

    def plan(self, call: Call) -> Plan:
        """What fires for this call; every rule that matches counts it as seen."""
        if not self.settings.rules:
            return _NOTHING
        fired: list[AnyRule] = []
        ended = False
        for index, rule in enumerate(self.settings.rules):
            if not _matches(rule, call):
                continue
            self._seen[index] += 1
            ends = isinstance(rule, Ending)
            if (ends and ended) or not self._fires(index, rule, call):
                continue
            ended = ended or ends
            fired.append(rule)
            self._hits[index] += 1
            self.fired[rule.name] += 1
        self._remember(call, ended)
        return Plan(tuple(fired))

    @property
    def retry_after(self) -> float | None:
        """What a 429 of the quota says in Retry-After."""
        return self.settings.quota.retry_after if self.settings.quota else None

    def exceeded_quota(self, call: Call, project: int) -> int | None:
        """Counts the call against the quota of its project and API; the limit if there is none left, else None."""
        quota = self.settings.quota
        limit: int | None = getattr(quota, call.api, None)
        if quota is None or limit is None:
            return None
        window = self._windows.setdefault((project, call.api), _Window(quota, limit))
        if window.take(time.monotonic()):
            return None
        self.fired["quota"] += 1
        return limit

    def _fires(self, index: int, rule: AnyRule, call: Call) -> bool:
        if self._seen[index] <= rule.after or (rule.times is not None and self._hits[index] >= rule.times):
            return False
        if rule.probability >= 1:
            return True
        if isinstance(rule, Ending) and self._in_a_row.get(_page(call), 0) >= self.settings.most_in_a_row:
            return False
        return self._random.random() < rule.probability

    def _remember(self, call: Call, ended: bool) -> None:
        if not ended:
            self._in_a_row.pop(_page(call), None)
            return
        self._in_a_row[_page(call)] = self._in_a_row.get(_page(call), 0) + 1
        if len(self._in_a_row) > _REMEMBERED:
            self._in_a_row.popitem(last=False)


def _page(call: Call) -> tuple[str, str]:
    return call.path, call.page_token


def _matches(rule: AnyRule, call: Call) -> bool:
    if call.api not in ((rule.api,) if rule.api else _METERED):
        return False
    if isinstance(rule, RefusedPageToken) and not call.page_token:
        return False
    if isinstance(rule, Mutate | Distort) and call.api != "reviews":
        return False
    if rule.paged is not None and rule.paged != bool(call.page_token):
        return False
    return rule.path in call.path and (not rule.token or rule.token == call.fingerprint)


class _Window:
    """A hard limit: at most `limit` calls in any (sliding) or each (fixed) stretch of seconds."""

    def __init__(self, quota: Quota, limit: int) -> None:
        self._seconds = quota.seconds
        self._sliding = quota.window == "sliding"
        self._limit = limit
        self._calls: deque[float] = deque()

    def take(self, now: float) -> bool:
        if self._sliding:
            while self._calls and self._calls[0] <= now - self._seconds:
                self._calls.popleft()
        elif self._calls and now // self._seconds != self._calls[-1] // self._seconds:
            self._calls.clear()
        if len(self._calls) >= self._limit:
            return False
        self._calls.append(now)
        return True
