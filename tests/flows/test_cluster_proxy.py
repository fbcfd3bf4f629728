"""What nginx of deploy/cluster does with requests when replicas die, hang, or are gone."""

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import proxy
from cluster.local import free_ports
from tests.flows.test_proxy import JOBS, Proxy, Replica
from tests.support.service import eventually
from tests.unit.tooling.test_deployment import program

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
def replicas() -> Iterator[list[Replica]]:
    started = [Replica("one"), Replica("two")]
    for replica in started:
        replica.start()
    yield started
    for replica in started:
        replica.listening.close()


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
    status, problem = nginx.request("POST", **KEYED)
    assert status == 503
    assert json.loads(problem)["status"] == 503
    assert sorted(len(replica.requests) for replica in replicas) == [1, 1]
    for replica in replicas:
        assert replica.requests[0].endswith("\r\n\r\n{}")
        assert "once" in replica.requests[0]


def test_only_where_the_service_keeps_the_key_is_a_post_repeated(nginx: Proxy, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.dies = True
    assert nginx.request("POST", "/api/v1/dlq/redrive", **KEYED)[0] == 502
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_a_get_is_repeated(nginx: Proxy, replicas: list[Replica]) -> None:
    replicas[0].dies = True
    assert {nginx.request("GET") for _ in range(4)} == {(200, b"two")}


def test_what_the_service_answers_is_passed_on_as_it_is(nginx: Proxy) -> None:
    assert nginx.request("POST", **KEYED)[0] == 202
    assert nginx.request("POST")[0] == 202


def test_a_caller_cannot_pretend_to_come_from_elsewhere(nginx: Proxy, replicas: list[Replica]) -> None:
    nginx.request("GET", **{"X-Forwarded-For": "10.9.8.7", "Forwarded": "for=10.9.8.7", "X-Forwarded-Proto": "https"})
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
    connection = http.client.HTTPConnection(*nginx.address, timeout=15)
    connection.request("POST", JOBS, b"{}", headers)
    answered = connection.getresponse()
    problem = answered.read()
    connection.close()
    assert answered.status == 503
    assert answered.getheader("Retry-After") == "2"
    assert answered.getheader("Content-Type") == "application/problem+json"
    assert json.loads(problem)["title"] == "Service Unavailable"


def test_a_body_beyond_what_the_service_takes_is_refused_as_a_problem(nginx: Proxy, replicas: list[Replica]) -> None:
    connection = http.client.HTTPConnection(*nginx.address, timeout=15)
    connection.request("POST", JOBS, headers={"Content-Length": str(2 * 2**20)})
    answered = connection.getresponse()
    assert (answered.status, json.loads(answered.read())["status"]) == (413, 413)
    connection.close()
    assert not any(replica.requests for replica in replicas)
