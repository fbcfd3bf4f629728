"""The record of every call that reached the simulated Google: the truth that tests judge by."""

import struct
import time
from collections import Counter, deque
from itertools import islice
from typing import Any

from app.simulator.calls import Api, Call

_APIS: tuple[Api, ...] = ("accounts", "locations", "reviews", "tokeninfo", "token", "other")
_LAYOUT = struct.Struct(">QddBHIH8s")  # sequence, time, duration, api, status, page, in flight, token fingerprint
_NO_TOKEN = bytes(8)
_BETWEEN = "\0"


class Ledger:
    """A ring of the last `capacity` calls, about 250 bytes each, and counts that no ring forgets.

    `number` counts the answers, `sequence` the arrivals, both from 1. `time` is this machine's monotonic clock when the
    request arrived, in seconds; `in_flight` how many calls, this one included, were open then; `status` 0 when the
    client went away.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self._capacity = capacity
        self.reset()

    def reset(self) -> None:
        self._entries: deque[bytes] = deque(maxlen=self._capacity)
        self._counts: Counter[tuple[Api, int]] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._most_in_flight = 0
        self._recorded = 0

    @property
    def dropped(self) -> int:
        """How many calls the ring has already forgotten."""
        return self._recorded - len(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, call: Call, status: int, arrived: float, in_flight: int) -> None:
        """Called once per call, when its answer is ready."""
        self._counts[call.api, status] += 1
        self._outcomes[call.outcome] += 1
        self._most_in_flight = max(self._most_in_flight, in_flight)
        self._recorded += 1
        numbers = _LAYOUT.pack(
            call.sequence,
            arrived,
            time.monotonic() - arrived,
            _APIS.index(call.api),
            status,
            min(call.page, 0xFFFFFFFF),
            min(in_flight, 0xFFFF),
            bytes.fromhex(call.fingerprint) or _NO_TOKEN,
        )
        words = _BETWEEN.join(_plain(word) for word in (call.method, call.path, call.page_token, call.outcome))
        self._entries.append(numbers + words.encode("utf-8", "replace"))

    def entries(self, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """The calls in the order in which they were answered, from the one after the `number` given."""
        first = self._recorded - len(self._entries)
        start = max(0, after - first)
        stop = None if limit is None else start + limit
        kept = islice(self._entries, start, stop)
        return [_unpack(number, packed) for number, packed in enumerate(kept, first + start + 1)]

    def calls(self, api: Api | None = None) -> int:
        """How many calls were answered since the last reset."""
        return sum(count for (name, _), count in self._counts.items() if api in (None, name))

    def summary(self) -> dict[str, Any]:
        """Counts by API and status and by outcome; the most calls per API in any second and any minute."""
        by_api: dict[str, dict[str, int]] = {}
        for (api, status), count in sorted(self._counts.items()):
            by_api.setdefault(api, {})[str(status)] = count
        return {
            "calls": self.calls(),
            "by_api": by_api,
            "outcomes": dict(self._outcomes),
            "most_in_flight": self._most_in_flight,
            "most_in_1_second": self.most_in(1.0),
            "most_in_60_seconds": self.most_in(60.0),
            "kept": len(self._entries),
            "dropped": self.dropped,
        }

    def most_in(self, seconds: float) -> dict[str, int]:
        """The most calls of each API that arrived within any window of this length (of the calls still kept)."""
        times: dict[int, list[float]] = {}
        for packed in self._entries:
            _, arrived, _, api, *_ = _LAYOUT.unpack_from(packed)
            times.setdefault(api, []).append(arrived)
        return {_APIS[api]: _most_within(sorted(arrivals), seconds) for api, arrivals in sorted(times.items())}


def _most_within(times: list[float], seconds: float) -> int:
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _plain(word: str) -> str:
    return word.replace(_BETWEEN, "%00")


def _unpack(number: int, packed: bytes) -> dict[str, Any]:
    sequence, arrived, duration, api, status, page, in_flight, token = _LAYOUT.unpack_from(packed)
    method, path, page_token, outcome = packed[_LAYOUT.size :].decode().split(_BETWEEN)
    return {
        "number": number,
        "sequence": sequence,
        "time": arrived,
        "duration": duration,
        "api": _APIS[api],
        "method": method,
        "path": path,
        "page_token": page_token,
        "page": page,
        "status": status,
        "outcome": outcome,
        "token": "" if token == _NO_TOKEN else token.hex(),
        "in_flight": in_flight,
    }
