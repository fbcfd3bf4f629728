"""API_KEYS are changed replica by replica, as docs/runbooks.md says, and a caller who changes key meanwhile is never
refused."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from tests.support.clients import in_turn
from tests.support.replicas import started
from tests.support.service import JOBS, Service, Site, eventually, site
from tests.support.stack import Stack

OLD, NEW = "the-old-key-of-a-caller", "the-new-key-of-a-caller"
CALLS = 20
"""Answers that the caller gets between two steps, at least."""

PAUSE_SECONDS = 0.01

NO_GOOGLE = "http://127.0.0.1:9"
"""Nothing is fetched here: keys concern the role `api` alone."""


class Caller(threading.Thread):
    """Asks for the jobs, at each of `replicas()` in its turn, with the key that it was given last.

    A replica that refuses the connection, or says that it ends (503), is passed by, as a balancer does.
    """

    def __init__(self, replicas: Callable[[], Sequence[Service]], key: str) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.answers: Counter[tuple[str, int]] = Counter()
        """By key and status."""
        self.unserved = 0
        """Calls that no replica took."""
        self._replicas = replicas
        self._ending = threading.Event()
        self._sent = 0

    def run(self) -> None:
        while not self._ending.wait(PAUSE_SECONDS):
            self._call()

    def end(self) -> None:
        self._ending.set()
        self.join()

    def go_on(self) -> None:
        """Returns when it has been answered so many times more."""
        wanted = sum(self.answers.values()) + CALLS
        eventually(lambda: sum(self.answers.values()) >= wanted, 30, f"{CALLS} more answers")

    def _call(self) -> None:
        self._sent += 1
        key = self.key
        for replica in in_turn(self._replicas(), self._sent):
            try:
                status = asked(replica, key)
            except (OSError, HTTPException):
                continue
            if status != 503:
                self.answers[key, status] += 1
                return
        self.unserved += 1


@contextmanager
def calling(replicas: Callable[[], Sequence[Service]], key: str) -> Iterator[Caller]:
    caller = Caller(replicas, key)
    caller.start()
    try:
        yield caller
    finally:
        caller.end()


def asked(replica: Service, key: str) -> int:
    return replica.request("GET", JOBS, also={"X-API-Key": key}).status


def told(replicas: Sequence[Service], key: str) -> set[int]:
    """What the replicas answer to the key."""
    return {asked(replica, key) for replica in replicas}


def roll(place: Site, replicas: list[Service], keys: str, caller: Caller) -> None:
    """One after the other, while the caller goes on at the other one and at what was replaced."""
    for number in range(len(replicas)):
        replicas[number].terminate()
        replicas[number] = place.start(API_KEYS=keys)
        caller.go_on()


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_a_caller_who_changes_key_between_two_rolls_is_never_refused(servers: Stack) -> None:
    await asyncio.to_thread(change_keys, servers)


def change_keys(stack: Stack) -> None:
    with site(stack.directory, NO_GOOGLE, API_KEYS=OLD, ROLES="api", **stack.environment) as place:
        replicas = started(place, "", "")
        assert (told(replicas, OLD), told(replicas, NEW)) == ({200}, {401})
        with calling(lambda: replicas, OLD) as caller:
            caller.go_on()
            roll(place, replicas, f"{NEW},{OLD}", caller)
            assert (told(replicas, OLD), told(replicas, NEW)) == ({200}, {200})
            caller.key = NEW
            caller.go_on()
            assert told(replicas, OLD) == {200}, "who has not changed yet is let in until the old key goes"
            roll(place, replicas, NEW, caller)
        assert caller.answers.keys() == {(OLD, 200), (NEW, 200)}, caller.answers
        assert caller.unserved == 0
        assert (told(replicas, OLD), told(replicas, NEW)) == ({401}, {200})
        for replica in replicas:
            replica.terminate()
