"""A Google that answers each list as a test tells it: with pages, or with bytes that are none."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

Listing = Callable[[str], Answer]
"""What answers a call with this page token (empty: the first page)."""

ACCOUNT = "accounts/1"


@dataclass
class HostileGoogle:
    """`answers`: by the end of a path, the longest that fits. `calls`: how often each path was asked for."""

    answers: dict[str, Listing]
    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    targets: list[str] = field(default_factory=list)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                await reader.readexactly(int(fields.get("content-length", 0)))
                self.targets.append(target[:2_000])
                path, _, query = target.partition("?")
                self.calls[path] += 1
                page_token = query.partition("pageToken=")[2]
                await self._listing(path)(page_token)(writer)
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    def _listing(self, path: str) -> Listing:
        fitting = [end for end in self.answers if path.endswith(end)]
        return self.answers[max(fitting, key=len)] if fitting else _nowhere


@asynccontextmanager
async def hostile_google(answers: Mapping[str, Listing], *, locations: int = 1) -> AsyncIterator[HostileGoogle]:
    """One account with so many locations, unless `answers` say otherwise; what nobody names is 404."""
    names = [f"locations/{number}" for number in range(1, locations + 1)]
    usual: dict[str, Listing] = {
        "/tokeninfo": page({"aud": "123456789012-a.apps.googleusercontent.com", "expires_in": 3599}),
        "/v1/accounts": page({"accounts": [{"name": ACCOUNT, "accountName": "Shops"}]}),
        f"/{ACCOUNT}/locations": page({"locations": [location(name) for name in names]}),
    }
    google = HostileGoogle(usual | dict(answers))
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(google.converse(reader, writer))
        conversations.add(task)
        await task

    listening = await asyncio.start_server(converse, "127.0.0.1", 0, limit=2**22)
    google.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield google
    finally:
        listening.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def always(answer: Answer) -> Listing:
    return lambda _page_token: answer


def page(document: Any, status: int = 200) -> Listing:
    return always(whole(json.dumps(document).encode(), status))


def whole(body: bytes, status: int = 200, **headers: str) -> Answer:
    """A whole answer. Header names take `_` for `-`."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return sent("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def sent(data: bytes, *, then_close: bool = False) -> Answer:
    """These bytes and nothing else."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return send


def flood(head: bytes, piece: bytes, pieces: int | None = None, pause: float = 0.0) -> Answer:
    """A beginning, and so many pieces (None: without end), each `pause` seconds after the one before."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        left = pieces
        while not writer.is_closing() and (left is None or left > 0):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
            left = None if left is None else left - 1

    return send


def location(name: Any, title: str = "Shop") -> dict[str, Any]:
    return {"name": name, "title": title, "metadata": {"hasVoiceOfMerchant": True}}


def review(number: int, **changes: Any) -> dict[str, Any]:
    return {"reviewId": f"r{number}", "starRating": "FIVE", "comment": "Good."} | changes


_nowhere = page({"error": {"code": 404, "status": "NOT_FOUND", "message": "Requested entity was not found."}}, 404)
