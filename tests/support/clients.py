"""Clients that keep submitting jobs, as a balancer would let them, while something is done to the replicas."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException

from tests.support.service import JOBS, Answer, Service, upstream

PAUSE_SECONDS = 0.5


class Clients(threading.Thread):
    """Submits two jobs a second to one of `replicas()`, each in its turn.

    A replica that refuses the connection, or says that it cannot (503), is passed by, as a balancer does: the next one
    gets the request, with the same `Idempotency-Key`. Only what nobody takes counts as `refused`.
    """

    def __init__(self, replicas: Callable[[], Sequence[Service]], world: str) -> None:
        super().__init__(daemon=True)
        self.accepted: dict[str, str] = {}
        """Job id → its token."""
        self.passed_by: Counter[str] = Counter()
        self.refused = 0
        self._replicas = replicas
        self._world = world
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._sent = 0

    def run(self) -> None:
        try:
            while not self._ending.wait(PAUSE_SECONDS):
                self._submit()
        except BaseException as error:
            self._failure = error

    def end(self) -> None:
        self._ending.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def _submit(self) -> None:
        self._sent += 1
        token = f"ya29.{self._world}-seed{self._sent}"
        for replica in in_turn(self._replicas(), self._sent):
            answer = self._post(replica, token, f"client-{self._sent}")
            if answer is not None:
                self.accepted[str(answer.json()["job_id"])] = token
                return
        self.refused += 1

    def _post(self, replica: Service, token: str, key: str) -> Answer | None:
        try:
            answer = replica.request("POST", JOBS, {"access_token": token}, {"Idempotency-Key": key})
        except (OSError, HTTPException) as error:
            self.passed_by[type(error).__name__] += 1
            return None
        if answer.status == 202:
            return answer
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) >= 1
        self.passed_by["503"] += 1
        return None


def in_turn(replicas: Sequence[Service], number: int) -> list[Service]:
    """All of them, as a balancer tries them for its request of this number."""
    first = number % max(1, len(replicas))
    return [*replicas[first:], *replicas[:first]]


@contextmanager
def submitting(replicas: Callable[[], Sequence[Service]], world: str) -> Iterator[Clients]:
    """Until the body ends; what failed in it is raised."""
    clients = Clients(replicas, world)
    clients.start()
    try:
        yield clients
    finally:
        clients.end()


def wait_for_jobs(clients: Clients, more: int, seconds: float = 60.0) -> None:
    """Until so many more jobs were accepted."""
    wanted, deadline = len(clients.accepted) + more, time.monotonic() + seconds
    while len(clients.accepted) < wanted:
        assert clients.is_alive(), "the clients have failed"
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {more} more jobs; {clients.passed_by}"
        time.sleep(PAUSE_SECONDS)


def assert_all_walked(service: Service, google: str, accepted: Mapping[str, str], seconds: float = 120.0) -> None:
    """Every accepted job is completed, with each review that Google has, once."""
    for job_id, token in accepted.items():
        job = service.job_ended(job_id, seconds)
        assert job["status"] == "completed", job
        assert service.exported(job_id) == upstream(google, token), job_id
