"""A receiver of webhooks over real HTTP: answers as it is told, and remembers what it got."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Got:
    """One request. Header names are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The body, read by the library that receivers use. Raises when the signature is not of this secret."""
        return Webhook(secret).verify(self.body, dict(self.headers))


Answering = Callable[[Got], web.Response]


def _accepting(_got: Got) -> web.Response:
    return web.Response(status=204)


@dataclass
class Receiver:
    """`answer` decides what is answered; while `held` is set, requests hang."""

    url: str = ""
    answer: Answering = _accepting
    got: list[Got] = field(default_factory=list)
    held: asyncio.Event | None = None
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def number(self, count: int) -> Got:
        """The request of this number, counted from 1, as soon as it is there."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.got) >= count)
        return self.got[count - 1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(request.path_qs, headers, await request.read())
        async with self._arrived:
            self.got.append(got)
            self._arrived.notify_all()
        if self.held is not None:
            await self.held.wait()
        return self.answer(got)


def statuses(*answers: int, **headers: str) -> Answering:
    """These, one after the other; the last again and again."""
    left = list(answers)

    def answer(_got: Got) -> web.Response:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0], headers=headers)

    return answer


@asynccontextmanager
async def running_receiver(
    answer: Answering = _accepting, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """On a loopback port of its own."""
    receiver = Receiver(answer=answer)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    server = site._server
    assert isinstance(server, asyncio.Server)
    bound = server.sockets[0].getsockname()[1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound}"
    try:
        yield receiver
    finally:
        if receiver.held is not None:
            receiver.held.set()
        await runner.cleanup()
