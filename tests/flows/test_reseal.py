"""Sealing keys are changed under load, as docs/operating.md says, and nobody notices: neither jobs nor clients.

Two services on PostgreSQL and Kafka (one on SQLite) walk jobs whose tokens are renewed every few seconds, or replaced
again and again. They get the new key one after the other, and `keys reseal` runs meanwhile, beside one that reseals to
and fro.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from app.cli.local import database_of
from app.cli.sealing import Resealing
from app.config import Settings
from app.config.values import parse_sealing_key
from app.credentials import SealingKey, TokenSealer
from app.simulator.calls import fingerprint
from app.store.database import Database
from tests.support.service import JOBS, ROOT, Service, Site, arrived, eventually, ledger, site, upstream
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

WORLD = "sim-accounts1-locations16-reviews400"
TOKEN = f"ya29.{WORLD}"
OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 8).decode()}" for name in ("2023", "2024"))
RENEWED, REPLACED = 2, 2
"""Jobs that renew their tokens by themselves, and jobs that are given new ones."""

LEAST = 3
"""Times that each must have happened while rows were resealed, or it was not tested."""


@dataclass
class Keys:
    """The services of a place, and their sealing keys."""

    place: Site
    google: str
    running: list[Service] = field(default_factory=list)

    def start(self, keys: str, count: int) -> None:
        processes = [self.place.launch(TOKEN_SEALING_KEYS=keys) for _ in range(count)]
        self.running = [process.started() for process in processes]

    def change(self, keys: str) -> None:
        """One after the other, each while the others work with the keys from before."""
        for number, service in enumerate(self.running):
            service.terminate()
            self.running[number] = self.place.start(TOKEN_SEALING_KEYS=keys)

    def stop(self) -> None:
        for service in self.running:
            service.terminate()

    @property
    def service(self) -> Service:
        return self.running[-1]

    def reseal(self, keys: str) -> dict[str, Any]:
        done = self.command(keys, "reseal", "--json")
        assert done.returncode in (0, 1), done.stderr
        return dict(json.loads(done.stdout))

    def command(self, keys: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TOKEN_SEALING_KEYS": keys}
        return subprocess.run(
            [sys.executable, "-m", "app.cli", "keys", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.place.directory,
            env=self.place.settings | environment,
        )


class ToAndFro(threading.Thread):
    """Reseals with either key in front, again and again, so that there is always something to do."""

    def __init__(self, store: Database) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._ending = threading.Event()
        self.resealed = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.error = error

    async def _run(self) -> None:
        await self._store.start()
        try:
            while not self._ending.is_set():
                for keys in (f"{NEW},{OLD}", f"{OLD},{NEW}"):
                    self.resealed += await self._once(keys)
        finally:
            await self._store.close()

    async def _once(self, keys: str) -> int:
        sealer = TokenSealer([SealingKey(*parse_sealing_key(key)) for key in keys.split(",")])
        resealing = Resealing(self._store, sealer)
        await resealing.look()
        return (await resealing.report()).credentials

    def end(self) -> None:
        self._ending.set()
        self.join()
        if self.error is not None:
            raise self.error


@contextmanager
def resealing(stack: Stack) -> Iterator[ToAndFro]:
    thread = ToAndFro(database_of(Settings(**stack.settings), exclusive=False))
    thread.start()
    try:
        yield thread
    finally:
        thread.end()


@pytest.mark.timeout(400)
async def test_keys_change_under_load_and_nobody_notices(stack: Stack) -> None:
    await asyncio.to_thread(change_keys, stack)


def change_keys(stack: Stack) -> None:
    replicas = 1 if stack.kafka is None else 2
    with ExitStack() as opened:
        google = opened.enter_context(simulator_process())
        slow(google, 3.0)
        settings = {**stack.environment, "TOKEN_SEALING_KEYS": OLD, "WORKER_CONCURRENCY": "2"}
        keys = Keys(opened.enter_context(site(stack.directory, google, **settings)), google)
        keys.start(OLD, replicas)
        renewed = [submitted(keys, grant(number)) for number in range(RENEWED)]
        replaced = [submitted(keys, {"access_token": f"{TOKEN}-job{number}"}) for number in range(REPLACED)]
        again = {name: repeated(keys, name) for name in [str(uuid4())]}
        keys.change(f"{OLD},{NEW}")
        again |= {name: repeated(keys, name) for name in [str(uuid4())]}
        keys.change(f"{NEW},{OLD}")
        marks: dict[str, int] = {}
        slow(google, 0.5)
        with resealing(stack) as thread:
            for turn in range(LEAST):
                for number, job_id in enumerate(replaced):
                    token = f"{TOKEN}-job{number}-turn{turn}"
                    marks[token] = given(keys, stack, job_id, token)
                keys.reseal(f"{NEW},{OLD}")
        assert thread.resealed >= 10 * LEAST, "next to nothing was resealed"
        assert {name: repeated(keys, name) for name in again} == again, "a repeated request makes no second job"
        slow(google, 0.0)
        for job_id in (*renewed, *replaced, *again.values()):
            job = keys.service.job_ended(job_id)
            assert job["status"] == "completed", job
            assert keys.service.exported(job_id) == upstream(google, TOKEN)
        assert_newest_tokens_alone(google, marks)
        assert_every_grant_was_the_newest(google)
        parked = submitted(keys, {"access_token": f"{TOKEN}-parked", "callback_url": "https://203.0.113.9/hook?key=1"})
        keys.service.request("POST", f"{JOBS}/{parked}/pause")
        assert keys.reseal(f"{NEW},{OLD}")["still_used"] == []
        keys.stop()
        keys.start(NEW, 1)
        keys.service.request("POST", f"{JOBS}/{parked}/resume")
        assert keys.service.job_ended(parked)["status"] == "completed"
        assert_refused(keys, f"3:{OLD.partition(':')[2]}")


def slow(google: str, seconds: float) -> None:
    """Jobs must last until everything was done to them, and no longer."""
    control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": seconds}] if seconds else []})


def grant(number: int) -> dict[str, str]:
    """Its access tokens live for twelve seconds, and Google replaces it at each use: to lose one ends the renewals."""
    refresh_token = f"1//{WORLD}-job{number}-expires12-rotates1"
    return {"refresh_token": refresh_token, "client_id": "client-for-tests", "client_secret": "GOCSPX-for-tests"}


def submitted(keys: Keys, body: dict[str, str]) -> str:
    answer = keys.service.request("POST", JOBS, body)
    assert answer.status == 202, answer
    return str(answer.json()["job_id"])


def repeated(keys: Keys, name: str) -> str:
    """The job of a POST under this Idempotency-Key."""
    keys.service.headers["Idempotency-Key"] = name
    try:
        return submitted(keys, {"access_token": f"{TOKEN}-again"})
    finally:
        del keys.service.headers["Idempotency-Key"]


def given(keys: Keys, stack: Stack, job_id: str, token: str) -> int:
    """Replace the token while nothing of the job is in hand; the number of the last call before."""
    service = keys.service
    assert service.request("POST", f"{JOBS}/{job_id}/pause").status == 200
    eventually(lambda: not stack.held_tasks(job_id), 30, "pages given back")
    before = arrived(keys.google)
    assert service.request("PUT", f"{JOBS}/{job_id}/token", {"access_token": token}).status == 200
    assert service.request("POST", f"{JOBS}/{job_id}/resume").status == 200
    eventually(lambda: called_with(keys.google, token), 30, "a call with the new token", every=0.2)
    return before


def called_with(google: str, token: str) -> bool:
    return any(call["token"] == fingerprint(token) for call in ledger(google))


def assert_newest_tokens_alone(google: str, marks: dict[str, int]) -> None:
    """No call with an older token arrives after the job was given a newer one."""
    calls = [(int(call["sequence"]), str(call["token"])) for call in ledger(google)]
    for token, mark in marks.items():
        job, _, turn = token.rpartition("-turn")
        older = {fingerprint(f"{job}-turn{earlier}") for earlier in range(int(turn))} | {fingerprint(job)}
        late = [sequence for sequence, used in calls if sequence > mark and used in older]
        assert not late, f"calls {late} with a token older than {token}, which came after call {mark}"


def assert_every_grant_was_the_newest(google: str) -> None:
    """Google refuses a refresh token that it has replaced."""
    renewals = [call for call in ledger(google) if call["api"] == "token"]
    assert len(renewals) > 2 * RENEWED, "each job began with one"
    assert {call["status"] for call in renewals} == {200}
    assert len({call["token"] for call in renewals}) == len(renewals)


def assert_refused(keys: Keys, only: str) -> None:
    """A start without a key that is needed says which."""
    keys.stop()
    refused = keys.place.launch(TOKEN_SEALING_KEYS=only)
    assert refused.process.wait(60) != 0
    log = refused.log.read_text()
    assert "sealed with 2024: put it back" in log
    assert "Traceback" not in log
