"""Clients that leave before their answer begins, at real connections: told apart from those that got one."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_network

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from app.api.middleware import RequestContext
from app.api.problems import Problem
from app.api.proxies import TrustedProxies
from app.api.traces import ServerSpans
from app.telemetry import conventions, tracing
from app.telemetry.events import Event
from app.telemetry.requests import Requests
from tests.support.collector import collector
from tests.support.traced import PARENT, Traced
from tests.unit.edge.test_connection import LONG, SHORT, serving, small, until
from tests.unit.telemetry.test_requests import shown

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
TOTAL = "review_fetcher_http_requests_total"


class Held:
    """Reads the body, and answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Request(scope, receive).body()
        except ClientDisconnect:
            await Problem("body-cut", 400, "The body was cut", "")(scope, receive, send)
            return
        self.asked.set()
        await self.let.wait()
        await small(scope, receive, send)


def counted(requests: Requests) -> dict[str, float]:
    """Class of the status → requests, whatever their method."""
    found = {labels[-1]: value for (name, labels), value in shown(requests).items() if name == TOTAL}
    return {status: value for status, value in found.items() if value}


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


def behind_a_proxy(app: ASGIApp) -> ASGIApp:
    return TrustedProxies(app, [ip_network("127.0.0.0/8")], "x-forwarded")


@pytest.mark.parametrize("wrapped", [lambda app: app, behind_a_proxy], ids=["alone", "behind a proxy"])
async def test_who_leaves_while_the_answer_is_made_is_gone(wrapped: Callable[[ASGIApp], ASGIApp]) -> None:
    """A proxy's word about the client is kept in a copy of the scope."""
    held, requests = Held(), Requests()
    with capture_logs() as lines:
        async with serving(wrapped(RequestContext(held, requests)), LONG) as (server, address):
            _, writer = await asyncio.open_connection(*address)
            writer.write(POST.replace(b"Host", b"X-Forwarded-For: 192.0.2.1\r\nHost") + b"abc")
            await held.asked.wait()
            await leave(writer)
            await until(lambda: not server.server_state.connections)
            assert counted(requests) == {}
            held.let.set()
            await until(lambda: bool(counted(requests)))
    assert counted(requests) == {"gone": 1}
    assert [line["status"] for line in lines if line["event"] == Event.REQUEST_ANSWERED] == [None]


async def test_who_leaves_amid_its_body_is_gone() -> None:
    requests = Requests()
    async with serving(RequestContext(Held(), requests), LONG) as (_, address):
        _, writer = await asyncio.open_connection(*address)
        writer.write(POST + b"a")
        await until(lambda: shown(requests)["review_fetcher_http_requests_in_flight", ()] == 1)
        await leave(writer)
        await until(lambda: bool(counted(requests)))
    assert counted(requests) == {"gone": 1}


async def test_who_leaves_with_its_answer_has_got_it() -> None:
    """Also a later request of the same connection is told by itself."""
    held, requests = Held(), Requests()
    held.let.set()
    async with serving(RequestContext(held, requests), LONG) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + b"abc")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        held.let.clear()
        held.asked.clear()
        writer.write(POST + b"abc")
        await held.asked.wait()
        await leave(writer)
        await until(lambda: not server.server_state.connections)
        held.let.set()
        await until(lambda: sum(counted(requests).values()) == 2)
    assert counted(requests) == {"2xx": 1, "gone": 1}


async def test_who_leaves_amid_its_answer_has_the_status_that_it_began_with() -> None:
    requests, going_on = Requests(), asyncio.Event()

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await going_on.wait()
        await send({"type": "http.response.body"})

    async with serving(RequestContext(long, requests), LONG) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + b"abc")
        await reader.readuntil(b"\r\n\r\n")
        await leave(writer)
        await until(lambda: not server.server_state.connections)
        going_on.set()
        await until(lambda: bool(counted(requests)))
    assert counted(requests) == {"2xx": 1}


async def test_who_is_refused_in_the_place_of_the_application_is_not_gone() -> None:
    """A body that comes too slowly is answered by the connection: 408, an error of the client's."""
    requests = Requests()
    async with serving(RequestContext(Held(), requests), SHORT) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST + b"a")
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
        await until(lambda: bool(counted(requests)))
        await leave(writer)
    assert counted(requests) == {"4xx": 1}


async def test_a_span_whose_client_left_has_no_status() -> None:
    held = Held()
    with collector() as receiving:
        traced = Traced(receiving)
        try:
            async with serving(ServerSpans(RequestContext(held, Requests())), LONG) as (server, address):
                _, writer = await asyncio.open_connection(*address)
                writer.write(POST.replace(b"Host", b"traceparent: %b\r\nHost" % PARENT.traceparent.encode()) + b"abc")
                await held.asked.wait()
                await leave(writer)
                await until(lambda: not server.server_state.connections)
                held.let.set()
            await traced.tracer.close()
        finally:
            tracing.install(None)
        (span,) = receiving.of(PARENT.trace_id)
    assert span.failed
    assert span.attributes[conventions.ERROR_TYPE] == "gone"
    assert conventions.HTTP_RESPONSE_STATUS_CODE not in span.attributes
