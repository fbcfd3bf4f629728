"""What the proxy of compose.yaml does with requests when replicas come, go, and die in the middle of one."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.machine import program
from tests.support.proxied import FORGED, Proxy, Replica
from tests.support.service import eventually
from tests.unit.tooling.test_deployment import PROXY


@contextmanager
def proxy_before(replicas: list[Replica], directory: Path) -> Iterator[Proxy]:
    """The real proxy with the real configuration, but for the addresses in it."""
    servers = "\n".join(f"    server {replica.name} {replica.address} init-addr last" for replica in replicas)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        text = re.sub(r"^    server-template .+$", servers, PROXY.read_text(), flags=re.MULTILINE)
        text = text.replace("bind :8080", f"bind fd@{listening.fileno()}").replace(" resolvers containers", "")
        text = re.sub(r"^resolvers containers\n(?: +.*\n)+", "", text, flags=re.MULTILINE)
        configuration = directory / "haproxy.cfg"
        configuration.write_text(text)
        command = [program("haproxy"), "-q", "-db", "-f", str(configuration)]
        with subprocess.Popen(command, pass_fds=[listening.fileno()], stdout=subprocess.DEVNULL) as process:
            try:
                yield Proxy(listening.getsockname())
            finally:
                process.kill()


@pytest.fixture
def proxy(replicas: list[Replica], tmp_path: Path) -> Iterator[Proxy]:
    with proxy_before(replicas, tmp_path) as started:
        eventually(lambda: started.answering() == {"one", "two"}, 15, "both replicas get requests")
        for replica in replicas:
            replica.requests.clear()
        yield started


def test_a_replica_that_is_not_ready_gets_nothing_until_it_is(proxy: Proxy, replicas: list[Replica]) -> None:
    replicas[0].ready = False
    eventually(lambda: proxy.answering() == {"two"}, 15, "only the ready replica gets requests")
    replicas[0].ready = True
    eventually(lambda: proxy.answering() == {"one", "two"}, 15, "both get requests again")


def test_when_none_is_ready_those_that_live_answer_for_themselves(proxy: Proxy, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.ready = False
    eventually(lambda: proxy.request("GET", "/readyz")[0] == 503, 15, "the replicas' own answer")
    assert proxy.request("POST")[0] == 202


def test_a_replica_that_stopped_costs_no_request(proxy: Proxy, replicas: list[Replica]) -> None:
    replicas[0].stop()
    assert [proxy.request("POST") for _ in range(20)] == [(202, b"two")] * 20


def test_a_post_is_not_repeated_when_a_replica_died_with_it(proxy: Proxy, replicas: list[Replica]) -> None:
    for replica in replicas:
        replica.dies = True
    status, problem = proxy.request("POST")
    assert status == 502
    assert b"may have carried out" in problem
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_a_post_with_an_idempotency_key_is_repeated(proxy: Proxy, replicas: list[Replica]) -> None:
    replicas[0].dies = True
    answers = [proxy.request("POST", headers={"Idempotency-Key": f"key-{number}"}) for number in range(6)]
    assert answers == [(202, b"two")] * 6
    assert replicas[0].requests


def test_a_get_is_repeated(proxy: Proxy, replicas: list[Replica]) -> None:
    replicas[0].dies = True
    assert [proxy.request("GET") for _ in range(6)] == [(200, b"two")] * 6
    assert replicas[0].requests


def test_a_caller_cannot_pretend_to_come_from_elsewhere(proxy: Proxy, replicas: list[Replica]) -> None:
    proxy.request("GET", headers=FORGED)
    (request,) = [text for replica in replicas for text in replica.requests]
    assert "10.9.8.7" not in request
    assert re.findall(r"x-forwarded-proto: (\w+)", request, re.IGNORECASE) == ["http"]
    assert re.search(r"x-forwarded-for: 127\.0\.0\.1", request, re.IGNORECASE)


def test_without_any_replica_the_answer_says_when_to_come_back(tmp_path: Path) -> None:
    gone = Replica("gone")
    gone.start()
    with proxy_before([gone], tmp_path) as proxy:
        eventually(lambda: proxy.request("GET")[0] == 200, 15, "the replica answers")
        gone.stop()
        answered = proxy.ask("POST")
    assert answered.status == 503
    assert answered.headers["retry-after"] == "5"
    assert answered.headers["content-type"] == "application/problem+json"
    assert b"No replica of the service answers" in answered.body
