"""`python -m uvicorn app.main:app`: the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api.application import create_api
from app.api.services import set_services
from app.config import ConfigurationError, Settings, get_settings
from app.console.application import add_console, create_console
from app.console.services import set_console_services
from app.edge.bounds import Bounds
from app.edge.files import allow_connections
from app.edge.server import bound_connections, listening_apart, running_server
from app.edge.stopping import end_at_a_signal
from app.lifecycle import calm_garbage_collector
from app.startup import PlainStartupFailure
from app.state import set_app_state
from app.telemetry.logging import configure_logging
from app.telemetry.requests import Requests
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks
from app.wiring.values import surface_of


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its lifespan opens store and broker and starts the loops, and drains them at the end."""
    chosen = settings or get_settings()
    console = create_console(version=chosen.version)
    requests = Requests()

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        configure_logging(
            level=chosen.log_level,
            json=chosen.environment == "production",
            service=chosen.service_name,
            version=chosen.version,
        )
        server = running_server()
        if server is not None:
            bound_connections(server, Bounds(allow_connections(chosen.edge.max_connections)))
        state = await initialize_components(chosen)
        state.metrics.watch_requests(requests)
        end_at_a_signal(state.services.events.close, state.committer.give_up)
        set_services(application, state.services)
        set_console_services(console, state.services, state.sessions)
        application.state.app_state = state
        set_app_state(state)
        try:
            await start_background_tasks(state)
            calm_garbage_collector()
            async with listening_apart(server, chosen.host, chosen.edge.metrics_port):
                yield
        finally:
            set_app_state(None)
            state.services.events.close()
            await shutdown_background_tasks(state)

    application = create_api(version=chosen.version, lifespan=lifespan, surface=surface_of(chosen), requests=requests)
    if "api" in chosen.roles:
        add_console(application, console)
    application.add_middleware(PlainStartupFailure)
    return application


def _app() -> FastAPI:
    try:
        return create_app()
    except ConfigurationError as error:
        raise SystemExit(f"The service cannot start.\n{error}") from error


app = _app()
