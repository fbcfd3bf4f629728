"""The simulated Google of a run: its moods, its ledger, and what is true of each token."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chaos.checks import Call, Review
from tests.support.service import ledger, upstream
from tests.support.simulator import control, simulator_process

LATENCY = {"fault": "latency", "seconds": 0.05, "jitter": 0.6}
"""As slow as the real one, so that a kill finds pages on their way."""

BAD_DAY: list[dict[str, Any]] = [
    LATENCY,
    {"fault": "rate_limited", "probability": 0.002, "retry_after": 1},
    {"fault": "failure", "probability": 0.01, "status": 500},
    {"fault": "failure", "probability": 0.01, "status": 503, "body": "html"},
    {"fault": "cut", "probability": 0.01},
    {"fault": "invalid_json", "probability": 0.005},
    {"fault": "overlap", "probability": 0.05, "count": 7},
]


class Google:
    """One simulator process."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self._seed = seed
        self._truth: dict[str, list[Review]] = {}
        self.usual()

    def usual(self) -> None:
        """A bad day that a correct client survives."""
        control(self.url, "PUT", "faults", {"seed": self._seed, "rules": BAD_DAY})

    def cut_quota(self, calls: int, seconds: float) -> None:
        """From now on no more calls than this in any `seconds`, of each API: beyond it, 429."""
        apis = dict.fromkeys(("accounts", "locations", "reviews"), calls)
        quota = {**apis, "seconds": seconds, "retry_after": seconds}
        control(self.url, "PUT", "faults", {"seed": self._seed, "rules": BAD_DAY, "quota": quota})

    def refusals(self) -> int:
        """Calls that a cut quota has refused so far."""
        return int(control(self.url, "GET", "faults")["fired"].get("quota", 0))

    def truth(self, token: str) -> list[Review]:
        """Every review that exists for the token."""
        if token not in self._truth:
            self._truth[token] = upstream(self.url, token)
        return self._truth[token]

    def calls(self) -> list[Call]:
        """The whole ledger."""
        return list(ledger(self.url))


@contextmanager
def google(seed: int) -> Iterator[Google]:
    with simulator_process("--seed", str(seed)) as url:
        yield Google(url, seed)
