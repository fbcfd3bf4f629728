"""Metrics at a port of their own, of the service as people start it, and as the image does."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_services.process import free_ports

from tests.support.raw import converse
from tests.support.service import Service, Site, site

KEY = "a-key-for-these-tests-alone"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "", API_KEYS=KEY) as here:
        yield here


def statuses(address: tuple[str, int], path: str) -> list[int]:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost:{address[1]}\r\nConnection: close\r\n\r\n"
    return converse(address, head.encode()).statuses


@pytest.mark.parametrize("start", [Site.serve, Site.start], ids=["serve", "uvicorn"])
def test_metrics_are_at_their_port_alone_and_bounded_there_too(place: Site, start: object) -> None:
    assert callable(start)
    (port,) = free_ports(1)
    service: Service = start(place, METRICS="open", METRICS_PORT=str(port))
    apart = ("127.0.0.1", port)
    assert statuses(apart, "/metrics") == [200]
    assert statuses(apart, "/readyz") == [200]
    assert statuses(apart, "/api/v1/review-fetch") == statuses(apart, "/") == [404]
    assert statuses(service.address, "/metrics") == [404]
    refused = converse(apart, b"GET /metrics HTTP/1.1\nHost: a\n\n").answers
    assert [answer.headers["content-type"] for answer in refused] == ["application/problem+json"]
    service.terminate()
    with pytest.raises(ConnectionError):
        socket.create_connection(apart, 1)


def test_a_port_that_is_taken_stops_the_start_and_is_named(place: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = place.launch(METRICS_PORT=str(taken.getsockname()[1]))
        assert service.process.wait(60) != 0
    said = service.log.read_text()
    assert "METRICS_PORT: cannot listen on 127.0.0.1" in said
    assert "Traceback" not in said


def test_uvicorn_itself_neither_names_itself_nor_believes_what_a_caller_says_of_himself(place: Site) -> None:
    """Its own default believes the machine it runs on."""
    service = place.start(LOG_LEVEL="DEBUG")
    answered = converse(
        service.address,
        b"GET /nothing HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n",
    ).answers[0]
    assert (answered.status, answered.headers["server"]) == (404, None)
    service.terminate()
    assert "203.0.113.9" not in service.log.read_text()


def test_a_trusted_proxy_is_believed(place: Site) -> None:
    service = place.serve(TRUSTED_PROXIES="127.0.0.0/8")
    said = b"X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    answered = converse(service.address, b"GET /nothing HTTP/1.1\r\nHost: a\r\n" + said).answers[0]
    assert answered.headers["strict-transport-security"] == "max-age=31536000"
    service.terminate()
    assert "client=203.0.113.9" in service.log.read_text()
