"""Streams over a real server: nothing keeps them back, and who takes none of them is let go."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.api.stream import EventStream, event_stream
from app.edge import stopping
from app.edge.server import GRACEFUL_SECONDS

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_SECONDS = 20.0

Make = Callable[[], AsyncIterator[bytes]]


class Streams:
    """An application whose only answer is a stream; how many of them have begun and ended."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await event_stream(self._parts())(scope, receive, send)
        finally:
            self.ended.set()

    async def _parts(self) -> AsyncIterator[bytes]:
        async for part in self._make():
            yield part
            self.begun.set()


@asynccontextmanager
async def served(app: Streams) -> AsyncIterator[tuple[uvicorn.Server, tuple[str, int]]]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=GRACEFUL_SECONDS)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    async with asyncio.timeout(PATIENCE_SECONDS):
        yield server, listening.getsockname()
        server.should_exit = True
        await serving


async def _without_end() -> AsyncIterator[bytes]:
    while True:
        yield b": " + bytes(64 * 1024) + b"\n\n"
        await asyncio.sleep(0)  # no stream of events goes on without ever waiting


async def _one_and_then_nothing() -> AsyncIterator[bytes]:
    yield b"event: state\n\n"
    await asyncio.Event().wait()


def _frozen(address: tuple[str, int]) -> socket.socket:
    """A client that reads nothing of its answer."""
    connection = socket.create_connection(address)
    connection.sendall(REQUEST)
    return connection


async def test_an_event_is_sent_at_once_and_no_proxy_may_keep_it() -> None:
    async with served(app := Streams(_one_and_then_nothing)) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "content-type: text/event-stream" in head
        assert "x-accel-buffering: no" in head
        await reader.readuntil(b"event: state\n\n")
        writer.close()
        await app.ended.wait()


async def test_a_client_that_takes_nothing_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only its stream: what is buffered for it would stay, and the connection with it."""
    monkeypatch.setattr(EventStream, "send_seconds", 0.2)
    async with served(app := Streams(_without_end)) as (server, address):
        with _frozen(address):
            await app.ended.wait()
            await _until_no_connection_is_left(server)


async def _until_no_connection_is_left(server: uvicorn.Server) -> None:
    while server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)


async def test_at_a_signal_streams_end_at_once_and_who_takes_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stopping, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(stopping, "ANSWER_SECONDS", 0.2)
    closed, given_up = asyncio.Event(), asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    async with served(app := Streams(_without_end)) as (server, address):
        with _frozen(address):
            await app.begun.wait()
            stopping.end_at_a_signal(closed.set, given_up.set)
            signal.raise_signal(signal.SIGTERM)
            server._captured_signals.clear()  # it would raise them again at its end
            await closed.wait()
            await app.ended.wait()
            await given_up.wait()
            await _until_no_connection_is_left(server)
            assert server.should_exit
    assert signal.getsignal(signal.SIGTERM) is before
    assert "Exception in ASGI application" not in caplog.text


async def test_without_a_server_of_ours_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stopping.end_at_a_signal(lambda: None, lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_no_stream_is_204() -> None:
    assert event_stream(None).status_code == 204
