"""The API behind a real server: what depends on bytes and connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from tests.support.api import TOKEN, ServedApi, served_api
from tests.support.store import sqlite_database

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def stream(tmp_path: Path) -> AsyncIterator[Stream]:
    async with (
        sqlite_database(tmp_path) as database,
        served_api(database) as api,
        _server(api) as port,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def _server(api: ServedApi) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api.app, http="httptools", lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve([listening]))
    yield listening.getsockname()[1]
    server.should_exit = True
    await serving


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def test_a_connection_is_used_for_many_submissions(stream: Stream) -> None:
    reader, writer = stream
    body = f'{{"access_token": "{TOKEN}"}}'
    head = "POST /api/v1/review-fetch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    for _ in range(3):
        writer.write(request)
        status, headers, _ = await _answer(reader)
        assert status == 202
        assert headers["location"].startswith("/api/v1/review-fetch/")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(stream: Stream) -> None:
    reader, writer = stream
    writer.write(
        b"POST /api/v1/review-fetch HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(70):
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
    status, headers, body = await _answer(reader)
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert b"body-too-large" in body
    assert await reader.read() == b""
