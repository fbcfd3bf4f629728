"""The end of a service: streams hear of it, and who takes nothing is not waited for."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvicorn

from app.edge.server import server_behind

SignalHandler = Callable[[int, FrameType | None], None]

SLOW_SECONDS = 2.0
"""For clients that do not take what is sent to them, at a stop. Soon enough that uvicorn need not break off answers."""


ANSWER_SECONDS = 2.5
"""For answers that wait for the store, at a stop: uvicorn breaks off what has not begun half a second later."""


def end_at_a_signal(close: Callable[[], None], give_up: Callable[[], None]) -> None:
    """Uvicorn tells the application of a stop only when all its answers have ended, and some end only when told so.

    `close` is called at once, `give_up` when an answer that has not come must be given without it.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        server = server_behind(before)
        if callable(before) and server is not None:
            signal.signal(
                number, _both(partial(loop.call_soon_threadsafe, _end_answers, close, give_up, server), before)
            )


def _end_answers(close: Callable[[], None], give_up: Callable[[], None], server: uvicorn.Server) -> None:
    close()
    loop = asyncio.get_running_loop()
    loop.call_later(SLOW_SECONDS, _cut_slow_clients, server)
    loop.call_later(ANSWER_SECONDS, give_up)


def _cut_slow_clients(server: uvicorn.Server) -> None:
    """Who takes nothing hears of no end either, and uvicorn would wait for it to take what is buffered."""
    for connection in tuple(server.server_state.connections):
        flow, transport = getattr(connection, "flow", None), getattr(connection, "transport", None)
        if flow is not None and transport is not None and (flow.write_paused or transport.is_closing()):
            transport.abort()


def _both(first: Callable[[], object], before: Callable[[int, FrameType | None], object]) -> SignalHandler:
    def handle(number: int, frame: FrameType | None) -> None:
        first()
        before(number, frame)

    return handle
