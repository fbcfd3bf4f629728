"""The replicas: real processes of the service, each a slot that is running, frozen or empty."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from tests.support.service import Service, Site

EXIT_SECONDS = 60.0
"""How long a stopping replica is watched; the target is far below."""

CAPACITY, RATE, PER_MINUTE = 52, 20.0, 1100
"""The quota of all replicas together. Narrow enough to be spent all the time, so that one call too many shows, and of a
bucket that allows for the whole `TRANSIT_SECONDS` between a permit and Google."""

SETTINGS = {
    "LOG_LEVEL": "DEBUG",
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": str(CAPACITY),
    "RATELIMIT_REFILL_RATE": str(RATE),
    "RATELIMIT_PER_MINUTE": str(PER_MINUTE),
    "RETRY_MAX_RETRIES": "8",
    "RETRY_INITIAL_BACKOFF_MS": "50",
    "RETRY_MAX_BACKOFF_MS": "1000",
    "WORKER_CONCURRENCY": "8",
}


@dataclass
class Replica:
    """One slot. `service` is its present or last process."""

    number: int
    service: Service
    port: int = 0
    """Where each of its processes listens; 0: wherever there is room."""
    frozen: bool = False

    @property
    def alive(self) -> bool:
        return self.service.process.poll() is None

    @property
    def running(self) -> bool:
        return self.alive and not self.frozen


class Fleet:
    """Replicas of every role, one for each of `ports`, and what can be done to them."""

    def __init__(self, directory: Path, ports: Sequence[int], settings: dict[str, str]) -> None:
        self.directory = directory
        key = token_hex(24)
        self.key = {"X-API-Key": key}
        self._site = Site(directory, SETTINGS | {"API_KEYS": key} | settings)
        self.replicas = [Replica(number, self._launched(port), port) for number, port in enumerate(ports, start=1)]

    def started(self) -> None:
        """Returns when all of them answer that they are ready."""
        for replica in self.replicas:
            replica.service.started()

    @property
    def running(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.running]

    def named(self, holder: str | None) -> Replica | None:
        """Whose process took this name in the store (host-pid-random)."""
        return next((one for one in self.running if holder and f"-{one.service.pid}-" in holder), None)

    def kill(self, replica: Replica) -> None:
        replica.service.kill()

    def terminate(self, replica: Replica) -> float:
        """SIGTERM; the seconds until it was gone. TimeoutExpired when it never is."""
        began = time.monotonic()
        replica.service.process.terminate()
        replica.service.process.wait(EXIT_SECONDS)
        return time.monotonic() - began

    def freeze(self, replica: Replica) -> None:
        os.kill(replica.service.pid, signal.SIGSTOP)
        replica.frozen = True

    def thaw(self, replica: Replica) -> None:
        os.kill(replica.service.pid, signal.SIGCONT)
        replica.frozen = False

    def restart(self, replica: Replica) -> None:
        """A new process in the slot; returns when it is ready."""
        replica.service = self._launched(replica.port)
        replica.service.started()

    def revive(self) -> list[int]:
        """Start again whoever ended by itself, which nobody should; returns their numbers."""
        dead = [replica for replica in self.replicas if not replica.alive]
        for replica in dead:
            self.restart(replica)
        return [replica.number for replica in dead]

    def _launched(self, port: int) -> Service:
        service = self._site.launch_at(port, {})
        service.headers = self.key
        return service

    def end(self) -> None:
        self._site.end()
