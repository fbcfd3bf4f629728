"""What nginx of deploy/cluster does with requests when replicas die, hang, or are gone; and when it is killed."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import lifecycle, parts, proxy
from cluster.local import ServiceError, free_ports, recorded
from cluster.parts import Part
from cluster.plan import Plan
from tests.support.machine import program
from tests.support.proxied import FORGED, Proxy, Replica
from tests.support.service import eventually

KEYED = {"Idempotency-Key": "once"}


@contextmanager
def nginx_before(replicas: list[Replica], directory: Path) -> Iterator[Proxy]:
    program("nginx")
    (port,) = free_ports(1)
    ports = [replica.listening.getsockname()[1] for replica in replicas]
    command = proxy.configure(directory, port, ports)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        started = Proxy(("127.0.0.1", port))
        try:
            eventually(lambda: answers(started), 15, "nginx answers")
            yield started
        finally:
            process.terminate()


def answers(started: Proxy) -> bool:
    try:
        return started.request("GET", "/livez")[0] > 0
    except OSError:
        return False


@pytest.fixture
def nginx(replicas: list[Replica], tmp_path: Path) -> Iterator[Proxy]:
    with nginx_before(replicas, tmp_path) as started:
        yield started


def test_a_replica_that_is_gone_costs_no_request(nginx: Proxy, replicas: list[Replica]) -> None:
    replicas[0].stop()
    assert [nginx.request("POST") for _ in range(10)] == [(202, b"two")] * 10


def test_a_post_is_not_repeated_when_a_replica_died_with_it(nginx: Proxy, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.dies = True
    status, problem = nginx.request("POST")
    assert status == 502
    assert b"may have carried out" in problem
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_a_post_with_an_idempotency_key_is_repeated_with_its_body(nginx: Proxy, replicas: list[Replica]) -> None:
    replicas[0].dies = True
    replicas[1].dies = True
    status, problem = nginx.request("POST", headers=KEYED)
    assert status == 503
    assert json.loads(problem)["status"] == 503
    assert sorted(len(replica.requests) for replica in replicas) == [1, 1]
    for replica in replicas:
        assert replica.requests[0].endswith("\r\n\r\n{}")
        assert "once" in replica.requests[0]


def test_a_post_with_an_idempotency_key_outlives_the_death_of_one_replica(
    nginx: Proxy, replicas: list[Replica]
) -> None:
    replicas[0].dies = True
    assert [nginx.request("POST", headers=KEYED) for _ in range(4)] == [(202, b"two")] * 4
    assert replicas[0].requests


def test_a_replica_that_hangs_with_a_keyed_post_is_left_after_five_seconds(
    nginx: Proxy, replicas: list[Replica]
) -> None:
    for replica in replicas:
        replica.hangs = True
    with ThreadPoolExecutor(1) as another:
        began = time.monotonic()
        asked = another.submit(nginx.request, "POST", headers=KEYED)
        hanging = eventually(lambda: next((one for one in replicas if one.requests), None), 4, "the first replica")
        (other,) = (one for one in replicas if one is not hanging)
        other.hangs = False
        assert asked.result() == (202, other.name.encode())
    assert 4.5 < time.monotonic() - began < 14, "nginx's 5 seconds, not the 90 of other paths"
    assert len(hanging.requests) == 1


def test_only_where_the_service_keeps_the_key_is_a_post_repeated(nginx: Proxy, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.dies = True
    assert nginx.request("POST", "/api/v1/dlq/redrive", headers=KEYED)[0] == 502
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_a_get_is_repeated(nginx: Proxy, replicas: list[Replica]) -> None:
    replicas[0].dies = True
    assert {nginx.request("GET") for _ in range(4)} == {(200, b"two")}


def test_what_the_service_answers_is_passed_on_as_it_is(nginx: Proxy) -> None:
    assert nginx.request("POST", headers=KEYED)[0] == 202
    assert nginx.request("POST")[0] == 202


def test_a_caller_cannot_pretend_to_come_from_elsewhere(nginx: Proxy, replicas: list[Replica]) -> None:
    nginx.request("GET", headers=FORGED)
    (request,) = [text for replica in replicas for text in replica.requests]
    assert "10.9.8.7" not in request
    assert re.findall(r"x-forwarded-proto: (\w+)", request, re.IGNORECASE) == ["http"]
    assert re.search(r"x-forwarded-for: 127\.0\.0\.1", request, re.IGNORECASE)
    assert re.search(rf"host: 127\.0\.0\.1:{nginx.address[1]}", request, re.IGNORECASE)


@pytest.mark.parametrize("headers", [{}, KEYED])
def test_without_any_replica_the_answer_says_when_to_come_back(
    nginx: Proxy, replicas: list[Replica], headers: dict[str, str]
) -> None:
    for replica in replicas:
        replica.stop()
    answered = nginx.ask("POST", headers=headers)
    assert answered.status == 503
    assert answered.headers["retry-after"] == "2"
    assert answered.headers["content-type"] == "application/problem+json"
    assert answered.json()["title"] == "Service Unavailable"


def test_a_body_beyond_what_the_service_takes_is_refused_as_a_problem(nginx: Proxy, replicas: list[Replica]) -> None:
    answered = nginx.ask("POST", headers={"Content-Length": str(2 * 2**20)})
    assert (answered.status, answered.json()["status"]) == (413, 413)
    assert not any(replica.requests for replica in replicas)


@pytest.fixture
def only_nginx(replicas: list[Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a cluster of nothing but nginx."""
    program("nginx")
    ports = [[replica.listening.getsockname()[1], 0] for replica in replicas]

    def stages(plan: Plan) -> list[list[Part]]:
        return [[parts.nginx(replace(plan, replicas=ports))]]

    monkeypatch.setattr(lifecycle, "check_installed", lambda: None)
    monkeypatch.setattr(lifecycle, "stages", stages)
    with lifecycle.alone(tmp_path / "cluster", print):
        yield tmp_path / "cluster"
        lifecycle.down(tmp_path / "cluster")


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__")
def test_after_its_master_was_killed_nginx_is_started_again_and_ends_with_the_cluster(only_nginx: Path) -> None:
    plan = lifecycle.up(only_nginx, {}, print)
    (killed,) = lifecycle.status(only_nginx)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: lifecycle.status(only_nginx)[0].pid is None, 10, "the death")
    assert answers(Proxy(("127.0.0.1", plan.nginx))), "its worker lives on"
    lifecycle.up(only_nginx, {}, print)
    (standing,) = lifecycle.status(only_nginx)
    assert standing.pid not in (None, killed.pid)
    assert int((plan.place("nginx") / proxy.PID).read_text()) == standing.pid
    lifecycle.down(only_nginx)
    assert not answers(Proxy(("127.0.0.1", plan.nginx)))


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__")
def test_another_who_answers_at_the_port_of_nginx_is_not_taken_for_it(only_nginx: Path) -> None:
    plan = lifecycle.up(only_nginx, {}, print)
    started = recorded(only_nginx / "processes" / "nginx")
    assert started is not None
    started.end(Path(plan.home), 0.0)
    stranger = Replica("stranger")
    stranger.start(plan.nginx)
    try:
        with pytest.raises(ServiceError, match="nginx ended at its start"):
            lifecycle.up(only_nginx, {}, print)
    finally:
        stranger.end()
