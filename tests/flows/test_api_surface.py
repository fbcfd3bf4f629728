"""What of the API is shown, to whom, and what pages of elsewhere may do (API8:2023, security misconfiguration)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from app.api.surface import Surface
from app.console.assets import address_of
from app.models.access import Scope
from tests.support.api import TOKEN, ServedApi, served_api
from tests.support.asgi import AsgiClient
from tests.support.console import served_console
from tests.support.store import sqlite_database

SUBMIT = "/api/v1/review-fetch"
PAGE = "https://app.example.com"
ALLOWING = Surface(allowed_origins=(PAGE,))


@asynccontextmanager
async def shown(directory: Path, surface: Surface) -> AsyncIterator[ServedApi]:
    async with sqlite_database(directory) as database, served_api(database, surface=surface) as api:
        yield api


@pytest.fixture
async def allowing(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with shown(tmp_path, ALLOWING) as api:
        yield api


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[AsgiClient]:
    async with sqlite_database(tmp_path) as database, served_console(database, surface=ALLOWING) as served:
        yield served.api.client


async def test_open_metrics_need_no_key_and_are_documented_so(tmp_path: Path) -> None:
    async with shown(tmp_path, Surface(metrics="open")) as api:
        key = await api.key(Scope.READ)
        assert [(await api.client.get("/metrics", **sent)).status for sent in ({}, {"x_api_key": key})] == [200, 200]
        assert "security" not in api.app.openapi()["paths"]["/metrics"]["get"]
        assert (await api.client.get("/api/v1/quota")).status == 401


async def test_a_process_without_jobs_shows_its_metrics_like_any_other(tmp_path: Path) -> None:
    async with shown(tmp_path, Surface(jobs=False, metrics="open", metrics_port=9100)) as api:
        assert (await AsgiClient(api.app, server=("127.0.0.1", 9100)).get("/metrics")).status == 200
        assert [(await api.client.get(path)).status for path in ("/metrics", SUBMIT, "/readyz")] == [404, 404, 200]


async def test_metrics_that_are_off_are_nowhere(tmp_path: Path) -> None:
    async with shown(tmp_path, Surface(metrics="off")) as api:
        answer = await api.client.get("/metrics", x_api_key=await api.key(Scope.ADMIN))
        assert (answer.status, answer.problem) == (404, "no-such-path")
        assert "/metrics" not in api.app.openapi()["paths"]


async def test_a_reference_that_is_off_is_nowhere_and_nothing_links_to_it(tmp_path: Path) -> None:
    async with shown(tmp_path, Surface(documentation=False)) as api:
        key = await api.key(Scope.ADMIN)
        for path in ("/docs", "/openapi.json"):
            answer = await api.client.get(path, x_api_key=key)
            assert (answer.status, answer.problem) == (404, "no-such-path")
        links = (await api.client.get("/", x_api_key=key)).json()["links"]
        assert [(await api.client.get(link, x_api_key=key)).status for link in links.values()] == [200] * len(links)
        wrong = await api.client.request("DELETE", SUBMIT, headers={"x-api-key": key})
        assert (wrong.status, wrong.headers["allow"]) == (405, "GET, POST")


async def test_metrics_at_a_port_of_their_own_are_there_alone(tmp_path: Path) -> None:
    """By the address of the connection. A header that names the port moves nothing."""
    async with shown(tmp_path, Surface(metrics="open", metrics_port=9100)) as api:
        apart = AsgiClient(api.app, server=("127.0.0.1", 9100))
        assert (await apart.get("/metrics")).status == 200
        for path in ("/", "/docs", "/openapi.json", "/api/v1/quota", "/api/v1/health", "/console/", "//metrics"):
            assert (await apart.get(path)).problem == "no-such-path"
        for host in ("localhost", "localhost:9100"):
            assert (await api.client.get("/metrics", host=host)).problem == "no-such-path"
        assert [(await client.get("/livez")).status for client in (apart, api.client)] == [200, 200]
        assert (await apart.request("POST", SUBMIT, json={"access_token": TOKEN})).problem == "no-such-path"
        assert await api.count_jobs() == 0


async def test_a_page_that_is_listed_may_call_and_read(allowing: ServedApi) -> None:
    key = await allowing.key(Scope.SUBMIT)
    asked = await allowing.client.request(
        "OPTIONS",
        SUBMIT,
        headers={
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,idempotency-key,x-api-key",
        },
    )
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (204, PAGE)
    allowed = set(asked.headers["access-control-allow-methods"].split(", "))
    operations = allowing.app.openapi()["paths"].values()
    assert allowed == {method.upper() for methods in operations for method in methods}
    assert "X-API-Key" in asked.headers["access-control-allow-headers"]
    answer = await allowing.client.post(SUBMIT, {"access_token": TOKEN}, origin=PAGE, x_api_key=key)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (202, PAGE)
    assert "Location" in answer.headers["access-control-expose-headers"]
    assert "origin" in answer.headers["vary"].lower()
    refused = await allowing.client.get(SUBMIT, origin=PAGE)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, PAGE)
    for one in (asked, answer, refused):
        assert "access-control-allow-credentials" not in one.headers


OTHERS = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "null",
    "*",
    "",
]


@pytest.mark.parametrize("origin", OTHERS)
async def test_any_other_page_may_not(allowing: ServedApi, origin: str) -> None:
    """ASVS 5.0 V3: an exact allow-list, never the origin echoed."""
    asked = await allowing.client.request(
        "OPTIONS", SUBMIT, headers={"origin": origin, "access-control-request-method": "POST"}
    )
    assert (asked.status, asked.problem) == (403, "origin-refused")
    plain = await allowing.client.get(SUBMIT, origin=origin)
    for answer in (asked, plain):
        assert not [name for name in answer.headers if name.startswith("access-control-allow-")]
        assert "origin" in answer.headers["vary"].lower()


async def test_a_page_that_is_listed_may_not_do_more_than_the_api_takes(allowing: ServedApi) -> None:
    for more in ({"access-control-request-method": "PATCH"}, {"access-control-request-headers": "cookie"}):
        headers = {"origin": PAGE, "access-control-request-method": "GET"} | more
        assert (await allowing.client.request("OPTIONS", SUBMIT, headers=headers)).problem == "origin-refused"


async def test_a_page_without_a_key_does_not_count_as_a_program_of_this_machine(allowing: ServedApi) -> None:
    answer = await allowing.client.post(SUBMIT, {"access_token": TOKEN}, origin=PAGE, sec_fetch_site="cross-site")
    assert answer.status == 401
    assert await allowing.count_jobs() == 0


@pytest.mark.parametrize("path", ["/console/", "/console/sign-in", "/metrics", "/", "/livez"])
async def test_no_page_of_elsewhere_reads_what_is_not_the_api(console: AsgiClient, path: str) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"origin": PAGE, "access-control-request-method": "GET"}
        answer = await console.request(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_transport_security_is_asked_for_where_the_client_speaks_tls(tmp_path: Path) -> None:
    proxies = [ip_network("10.0.0.0/8")]
    async with shown(tmp_path, Surface(trusted_proxies=proxies)) as api:
        said = {"x_forwarded_for": "203.0.113.9", "x_forwarded_proto": "https"}
        for peer, expected in (("10.0.0.1", "max-age=31536000"), ("203.0.113.1", None)):
            answer = await AsgiClient(api.app, client=(peer, 1)).get("/livez", **said)
            assert answer.headers.get("strict-transport-security") == expected


async def test_a_caller_behind_a_trusted_proxy_is_not_on_this_machine(tmp_path: Path) -> None:
    """Not even one that the proxy says is."""
    async with shown(tmp_path, Surface(trusted_proxies=[ip_network("127.0.0.0/8")])) as api:
        for claimed in ("127.0.0.1", "203.0.113.9"):
            assert (await api.client.get(SUBMIT, x_forwarded_for=claimed)).status == 401
        assert (await api.client.get(SUBMIT)).status == 200


CAREFUL = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/nothing",
        "/api/v1/quota",
        "/console",
        "/console/sign-in",
        "/console/nothing",
        "/console/static/x/y",
    ]
    + [address_of(name) for name in ("console.css", "console.js")],
)
async def test_every_answer_has_its_careful_headers(console: AsgiClient, path: str) -> None:
    """ASVS 5.0 V3.4 (browser security mechanism headers)."""
    answer = await console.get(path)
    assert {name: answer.headers.get(name) for name in CAREFUL} == CAREFUL
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in answer.headers
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert "camera=()" in answer.headers["permissions-policy"]
