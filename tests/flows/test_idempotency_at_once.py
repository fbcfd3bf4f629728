"""Fifty clients send the same submission at the same moment: one job, and fifty times the same answer.

Against real processes over fifty connections: one on SQLite, and two replicas on a real PostgreSQL and Kafka.
(API6:2023; ASVS 5.0 2.3.4, 15.4.2.)
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from app.models.access import Scope
from tests.support.service import JOBS, Answer, Service, Site, site
from tests.support.simulator import simulator_process
from tests.support.stack import Stack

AT_ONCE = 50
KEY = "a-key-that-may-do-everything"
WORLD = ("--accounts", "1", "--locations", "1", "--reviews", "2")


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    with simulator_process(*WORLD) as url:
        yield url


@pytest.fixture
def place(stack: Stack, google: str, tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, google, API_KEYS=KEY, **stack.environment) as opened:
        yield opened


@pytest.fixture
def theirs(place: Site) -> str:
    """A key of another tenant, made before the service starts."""
    command = [str(Path(sys.executable).with_name("review-fetcher")), "keys", "create", "theirs", "--tenant", "other"]
    environment = {"PATH": os.environ["PATH"]} | place.settings
    made = subprocess.run(
        [*command, "--scope", Scope.ADMIN.value], env=environment, cwd=place.directory, capture_output=True, check=True
    )
    return made.stdout.decode().strip()


@pytest.fixture
def replicas(place: Site, stack: Stack) -> list[Service]:
    """Two where two may share a store."""
    return [place.start() for _ in range(1 if stack.kafka is None else 2)]


def _at_once(replicas: list[Service], requests: list[tuple[str, str, str]]) -> list[Answer]:
    """Each request is (API key, Idempotency-Key, token) and has a connection of its own, open before any sends."""
    together = Barrier(len(requests))

    def send(number: int) -> Answer:
        api_key, key, token = requests[number]
        connection = http.client.HTTPConnection(*replicas[number % len(replicas)].address, timeout=60)
        try:
            connection.connect()
            together.wait(30)
            body = json.dumps({"access_token": token}).encode()
            headers = {"Content-Type": "application/json", "X-API-Key": api_key, "Idempotency-Key": key}
            connection.request("POST", JOBS, body, headers)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send, range(len(requests))))


def _jobs(service: Service, key: str = KEY) -> int:
    service.headers = {"X-API-Key": key}
    return len(list(service.jobs()))


def test_one_job_and_the_same_answer_for_all(replicas: list[Service]) -> None:
    answers = _at_once(replicas, [(KEY, "once", "ya29.the-same-token")] * AT_ONCE)
    assert {answer.status for answer in answers} == {202}, answers[0]
    assert len({answer.body for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert {len(answer.headers) for answer in answers} == {len(answers[0].headers)}
    assert [_jobs(service) for service in replicas] == [1] * len(replicas)
    job_id = answers[0].json()["job_id"]
    assert replicas[0].job_ended(job_id)["status"] == "completed"


def test_of_two_bodies_one_wins_and_the_other_is_refused(replicas: list[Service]) -> None:
    tokens = ["ya29.the-one-token", "ya29.the-other-token"]
    answers = _at_once(replicas, [(KEY, "once", tokens[number % 4 // 2]) for number in range(AT_ONCE)])
    by_body = [{answer.status for answer in answers[number::4]} for number in range(4)]
    assert sorted(by_body, key=min) == [{202}, {202}, {422}, {422}]
    refused = next(answer for answer in answers if answer.status == 422)
    assert refused.json()["type"].endswith(":idempotency-key-reused")
    assert len({answer.body for answer in answers if answer.status == 202}) == 1
    assert _jobs(replicas[0]) == 1


def test_the_same_key_of_two_tenants_is_two_jobs(theirs: str, replicas: list[Service]) -> None:
    keys = [KEY, theirs]
    answers = _at_once(replicas, [(keys[number % 4 // 2], "once", "ya29.a-token") for number in range(AT_ONCE)])
    assert {answer.status for answer in answers} == {202}
    ids = [{answer.json()["job_id"] for answer in answers[number::4]} for number in range(4)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert [len(one) for one in ids] == [1, 1, 1, 1]
    assert [_jobs(replicas[0], key) for key in keys] == [1, 1]
