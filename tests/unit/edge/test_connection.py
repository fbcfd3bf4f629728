"""Ends of patience that would take a minute at a process: the same connections, with short bounds."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.edge import clock
from app.edge.bounds import Bounds
from app.edge.server import bound_connections, listening_apart
from app.telemetry.events import Event
from cluster.local import free_ports
from tests.support.raw import converse

SHORT = Bounds(100, head_seconds=0.2, hurried_seconds=0.05, body_seconds=0.2, stalled_seconds=0.3, linger_seconds=0.1)
LONG = Bounds(100)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MANY = 20 * 2**20


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """More than the kernel keeps for a client."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % MANY)]})
    await send({"type": "http.response.body", "body": bytes(MANY)})


async def small(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class Forever:
    """Begins an answer and waits for the end of the client."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


@asynccontextmanager
async def serving(app: object, bounds: Bounds) -> AsyncIterator[tuple[uvicorn.Server, tuple[str, int]]]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None)  # type: ignore[arg-type] # any ASGI application
    config.load()
    server = uvicorn.Server(config)
    bound_connections(server, bounds)
    running = asyncio.create_task(server._serve([listening]))
    try:
        yield server, listening.getsockname()
    finally:
        server.should_exit = True
        await running


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "LOOK_SECONDS", 0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_a_client_that_never_reads_its_answer_is_let_go() -> None:
    """A slow read; API4:2023."""
    async with serving(large, SHORT) as (server, address):
        reader, writer = await asyncio.open_connection(*address, limit=1)
        writer.write(GET)
        await until(lambda: len(server.server_state.connections) == 1)
        await until(lambda: not server.server_state.connections)
        writer.transport.abort()
        assert len(server.server_state.tasks) == 0
        assert reader.exception() is None


async def test_a_client_that_reads_slowly_gets_everything() -> None:
    """As long as it takes something within the time."""
    async with serving(large, replace(SHORT, stalled_seconds=1.0)) as (_, address):
        reader, writer = await asyncio.open_connection(*address, limit=2**16)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        taken = 0
        while part := await reader.read(2**20):
            taken += len(part)
            if taken < 4 * 2**20:
                await asyncio.sleep(0.05)  # slower than it is sent, for longer than a stall may last
        assert taken > MANY
        writer.close()


async def test_an_answer_that_takes_its_time_is_not_mistaken_for_a_slow_client() -> None:
    app = Forever()
    async with serving(app, SHORT) as (server, address):
        _, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        await until(lambda: len(server.server_state.tasks) == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):  # thrice what a client may take
                await app.gone.wait()
        writer.close()
        await asyncio.wait_for(app.gone.wait(), 5)


async def test_a_request_that_comes_while_another_is_answered_is_not_late_meanwhile() -> None:
    app = Forever()
    async with serving(app, SHORT) as (server, address):
        _, writer = await asyncio.open_connection(*address)
        writer.write(GET + GET[:10])
        await until(lambda: len(server.server_state.tasks) == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await app.gone.wait()
        writer.close()
        await asyncio.wait_for(app.gone.wait(), 5)


async def test_who_does_not_close_after_a_refusal_is_closed() -> None:
    async with serving(small, SHORT) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"nonsense\r\n\r\n")
        assert b"400 Bad Request" in await reader.read()
        await until(lambda: not server.server_state.connections)
        writer.close()


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def test_an_answer_that_breaks_off_is_cut_at_once_though_the_client_still_sends() -> None:
    """So that nobody takes it for whole."""
    async with serving(broken, LONG) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\nabc"))
        said = await reader.read()
        assert (b"half" in said, said.endswith(b"0\r\n\r\n")) == (True, False)
        await until(lambda: not server.server_state.connections)
        writer.close()


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body, and wants the connection to end."""
    headers = [(b"connection", b"close"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"no"})


async def test_who_sends_on_behind_a_refusal_still_gets_it() -> None:
    """A closed socket would answer the rest with a reset, which throws away what the client has not read yet."""
    async with serving(refusing, replace(SHORT, linger_seconds=1.0)) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9000000\r\n\r\n"))
        await until(lambda: not server.server_state.tasks and bool(server.server_state.connections))
        for _ in range(20):
            writer.write(bytes(1000))
            await writer.drain()
        assert (await reader.read()).endswith(b"no")
        await until(lambda: not server.server_state.connections)
        writer.close()


async def test_far_beyond_the_limit_the_door_is_shut_without_a_word() -> None:
    async with serving(small, replace(LONG, connections=1)) as (_, address):
        crowd = [await asyncio.open_connection(*address) for _ in range(80)]
        said = []
        for reader, _ in crowd[1:]:
            try:
                said.append(await reader.read())
            except ConnectionError:
                said.append(b"")
        assert sum(b"503" in one for one in said) == 64
        assert said[64:] == [b""] * 15
        for _, writer in crowd:
            writer.transport.abort()


async def test_a_server_that_names_itself_or_believes_proxies_does_so_no_more() -> None:
    clients = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clients.append(scope["client"][0])
        await small(scope, receive, send)

    async with serving(app, LONG) as (_, address):
        request = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n")
        (answer,) = (await asyncio.to_thread(converse, address, request)).answers
    assert answer.headers["server"] is None
    assert clients == ["127.0.0.1"]


async def test_another_protocol_class_stays_and_is_told_of() -> None:
    config = uvicorn.Config(small, http="h11", lifespan="off", log_config=None)
    config.load()
    chosen = config.http_protocol_class
    with capture_logs() as written:
        bound_connections(uvicorn.Server(config), LONG)
    assert config.http_protocol_class is chosen
    assert [one["event"] for one in written] == [Event.CONNECTIONS_UNBOUNDED]


async def test_operators_get_in_at_their_port_while_clients_have_all_connections() -> None:
    """Liveness probes among them: a pod that is merely full is not to be killed."""
    (port,) = free_ports(1)
    crowd = Bounds(3)
    async with serving(small, crowd) as (server, address), listening_apart(server, "127.0.0.1", port):
        waiting = [await asyncio.open_connection(*address) for _ in range(crowd.connections)]
        refused = await asyncio.to_thread(converse, address, GET)
        probed = await asyncio.to_thread(converse, ("127.0.0.1", port), GET)
        for _, writer in waiting:
            writer.close()
    assert (refused.statuses, probed.statuses) == ([503], [204])
