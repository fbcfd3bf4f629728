"""A server that answers with exactly the bytes a test wants, right or wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.google.errors import GoogleAPIError

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """One request as it came over the wire; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Server:
    """`requests` in order of arrival."""

    url: str
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0


@asynccontextmanager
async def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """The n-th request gets the n-th answer; the last one answers all that follow."""
    served = Server("")
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        served.connections += 1
        try:
            while request := await _read(reader):
                served.requests.append(request)
                served.arrived.set()
                await answers[min(len(served.requests), len(answers)) - 1](writer)
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    listener = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def answer(body: bytes = b"{}", status: int = 200, **headers: str) -> Answer:
    """A whole answer. Header names take `_` for `-`."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def outcome(read: Callable[[bytes], object], body: bytes) -> object:
    """What `read` makes of the body: a value, or the `GoogleAPIError` it raised."""
    try:
        return read(body)
    except GoogleAPIError as error:
        return error


def raw(data: bytes, *, then_close: bool = False) -> Answer:
    """These bytes and nothing else."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then_close:
            writer.close()
        else:
            await writer.drain()

    return send


async def silence(writer: asyncio.StreamWriter) -> None:
    """Never an answer, and the connection stays open."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """The connection ends without a word."""
    writer.close()


def then_silence(data: bytes) -> Answer:
    """A beginning, and never an end."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await silence(writer)

    return send


def endless(head: bytes, piece: bytes) -> Answer:
    """A body without an end, for as long as the other side reads."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return send
