"""`/_sim/…`: how tests and people steer the simulator and read what happened, as JSON over HTTP.

GET faults · PUT faults (all of them, or `{"preset": "flaky", "seed": 3}`) · POST faults (one more rule, or a list) ·
DELETE faults (none, and expired tokens live again) · GET ledger?after&limit · GET ledger/summary · DELETE ledger ·
GET truth?token&after&limit (sums and locations) · GET truth?token&location&after&limit (review ids) · POST mutate
`{"location", "insert", "edit", "delete", "token"}` · POST expire `{"token"}` (an access or a refresh token) ·
POST release `{"count"}` (held calls) · GET wait?held=1&timeout=5 (names: arrived, answered, held, arrived:reviews …,
answered:reviews …, fault:cut …; counted since the start).
"""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from app.simulator.calls import Answer, Call
from app.simulator.faults import Faults, parse_rules

if TYPE_CHECKING:
    from app.simulator.server import Simulator

_LONGEST_WAIT = 60.0
_PAGE = 10_000


class Control:
    """Answers the control calls of one simulator."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._methods: dict[tuple[str, str], Callable[[Call, bytes], Any]] = {
            ("GET", "faults"): lambda _, __: simulator.faults.report(),
            ("PUT", "faults"): self._replace_faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "ledger"): self._ledger,
            ("DELETE", "ledger"): self._reset_ledger,
            ("GET", "ledger/summary"): lambda _, __: simulator.ledger.summary(),
            ("GET", "truth"): self._truth,
            ("POST", "mutate"): self._mutate,
            ("POST", "expire"): self._expire,
            ("POST", "release"): self._release,
        }

    async def answer(self, call: Call, body: bytes) -> Answer:
        """200 with JSON; 400 with `{"error": …}` for a request that makes no sense; 404 for an unknown one."""
        name = call.path.removeprefix("/_sim/")
        try:
            if (call.method, name) == ("GET", "wait"):
                return _json(200, await self._wait(call))
            method = self._methods.get((call.method, name))
            if method is None:
                return _json(
                    404, {"error": f"no {call.method} {call.path}", "known": sorted(map(" ".join, self._methods))}
                )
            return _json(200, method(call, body))
        except (ValueError, KeyError, TypeError) as error:
            return _json(400, {"error": str(error)})

    def _replace_faults(self, _: Call, body: bytes) -> Any:
        self._simulator.faults.replace(Faults.parse(body))
        return self._simulator.faults.report()

    def _add_faults(self, _: Call, body: bytes) -> Any:
        self._simulator.faults.add(*parse_rules(body))
        return self._simulator.faults.report()

    def _clear_faults(self, _: Call, __: bytes) -> Any:
        self._simulator.clear_faults()
        return self._simulator.faults.report()

    def _ledger(self, call: Call, _: bytes) -> Any:
        limit = int(call.query.get("limit", _PAGE))
        ledger = self._simulator.ledger
        return {"calls": ledger.entries(int(call.query.get("after", 0)), limit), "dropped": ledger.dropped}

    def _reset_ledger(self, _: Call, __: bytes) -> Any:
        self._simulator.ledger.reset()
        return {}

    def _release(self, _: Call, body: bytes) -> Any:
        wish = msgspec.json.decode(body, type=Release) if body else Release()
        return {"released": self._simulator.release(wish.count)}

    def _mutate(self, _: Call, body: bytes) -> Any:
        wish = msgspec.json.decode(body, type=Mutation)
        reviews = self._simulator.mutate(
            wish.location, insert=wish.insert, edit=wish.edit, delete=wish.delete, token=wish.token
        )
        return {"reviews": reviews}

    def _expire(self, _: Call, body: bytes) -> Any:
        self._simulator.expire(msgspec.json.decode(body, type=Expiry).token)
        return {}

    def _truth(self, call: Call, _: bytes) -> Any:
        """Without `location` the sums and (paged) locations of a token's world, with it the (paged) ids of one."""
        truth = self._simulator.truth(call.query.get("token", ""))
        after = int(call.query.get("after", 0))
        stop = after + int(call.query.get("limit", _PAGE))
        location = call.query.get("location")
        if location:
            return {"location": location, "review_ids": list(islice(truth.review_ids(location), after, stop))}
        return truth.totals() | {"locations": truth.locations(after, stop)}

    async def _wait(self, call: Call) -> Any:
        """`arrived=3&held=1&timeout=5` …: until every count got that high, at most a minute."""
        wanted = {name: int(count) for name, count in call.query.items() if name != "timeout"}
        timeout = min(float(call.query.get("timeout", 10)), _LONGEST_WAIT)
        reached = await self._simulator.signals.reached(wanted, timeout)
        return {"reached": reached, "counts": dict(self._simulator.signals.counts)}


class Mutation(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /_sim/mutate. `location` is `locations/{id}` or the id, `token` chooses the world."""

    location: str
    token: str = ""
    insert: int = 0
    edit: int = 0
    delete: int = 0


class Expiry(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /_sim/expire."""

    token: str


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /_sim/release, which may be empty: how many held calls go on."""

    count: int | None = None


def _json(status: int, value: Any) -> Answer:
    return Answer(status, msgspec.json.encode(value))
