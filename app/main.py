"""`python -m uvicorn app.main:app`: the service."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.api.application import create_api
from app.api.services import set_services
from app.config import ConfigurationError, Settings, get_settings
from app.console.application import add_console, create_console
from app.console.services import set_console_services
from app.lifecycle import calm_garbage_collector
from app.startup import PlainStartupFailure
from app.state import set_app_state
from app.telemetry.logging import configure_logging
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks

SignalHandler = Callable[[int, FrameType | None], None]

GRACEFUL_SECONDS = 3
"""For requests under way at a stop; 15 s for pages in flight follow, and an orderly stop ends within 25 s."""

SLOW_SECONDS = 2.0
"""For clients that do not take what is sent to them, at a stop. Soon enough that uvicorn need not break off answers."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its lifespan opens store and broker and starts the loops, and drains them at the end."""
    chosen = settings or get_settings()
    console = create_console(version=chosen.version)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        configure_logging(
            level=chosen.log_level,
            json=chosen.environment == "production",
            service=chosen.service_name,
            version=chosen.version,
        )
        _bound_the_wait_for_clients()
        state = await initialize_components(chosen)
        _end_at_a_signal(state.services.events.close)
        set_services(application, state.services)
        set_console_services(console, state.services, state.sessions)
        application.state.app_state = state
        set_app_state(state)
        try:
            await start_background_tasks(state)
            calm_garbage_collector()
            yield
        finally:
            set_app_state(None)
            state.services.events.close()
            await shutdown_background_tasks(state)

    application = create_api(version=chosen.version, lifespan=lifespan, serve_jobs="api" in chosen.roles)
    if "api" in chosen.roles:
        add_console(application, console)
    application.add_middleware(PlainStartupFailure)
    return application


def _bound_the_wait_for_clients() -> None:
    """Uvicorn waits for ever for a client that stopped reading or writing, unless its command line says otherwise.

    The application is never given its server; but the handler of SIGTERM is the server's own method.
    """
    server = _server_behind(signal.getsignal(signal.SIGTERM))
    if server is not None and server.config.timeout_graceful_shutdown is None:
        server.config.timeout_graceful_shutdown = GRACEFUL_SECONDS


def _end_at_a_signal(close: Callable[[], None]) -> None:
    """Uvicorn tells the application of a stop only when all its answers have ended, and some end only when told so."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        server = _server_behind(before)
        if callable(before) and server is not None:
            signal.signal(number, _both(partial(loop.call_soon_threadsafe, _end_streams, close, server), before))


def _end_streams(close: Callable[[], None], server: uvicorn.Server) -> None:
    close()
    asyncio.get_running_loop().call_later(SLOW_SECONDS, _cut_slow_clients, server)


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


def _server_behind(handler: object) -> uvicorn.Server | None:
    server = getattr(handler, "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def _app() -> FastAPI:
    try:
        return create_app()
    except ConfigurationError as error:
        raise SystemExit(f"The service cannot start.\n{error}") from error


app = _app()
