"""Names of receivers, looked up in threads of their own.

A receiver's name server may take half a minute not to answer. In the event loop's own few threads that would keep
Google's names waiting, and the end of the process.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_FLAGS = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class ThreadResolver(AbstractResolver):
    """The system's resolver. A look-up that nobody waits for any more ends by itself, whenever that is."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await _in_thread(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(hostname=host, host=_numeric(where), port=port, family=kind, proto=protocol, flags=_FLAGS)
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        """Holds nothing."""


def _numeric(where: Any) -> str:
    """Of a link-local address its zone too."""
    return str(socket.getnameinfo(where, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0])


async def _in_thread(look: Callable[[], list[Any]]) -> list[Any]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def run() -> None:
        try:
            found = look()
        except (OSError, UnicodeError) as error:
            problem = error if isinstance(error, OSError) else OSError("not a name of a host")
            _tell(loop, lambda: None if answer.done() else answer.set_exception(problem))
        else:
            _tell(loop, lambda: None if answer.done() else answer.set_result(found))

    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await answer


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(tell)
