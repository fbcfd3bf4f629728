"""`python -m uvicorn app.main:app`: the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api.application import create_api
from app.api.services import set_services
from app.config import ConfigurationError, Settings, get_settings
from app.startup import PlainStartupFailure
from app.state import set_app_state
from app.telemetry.logging import configure_logging
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its lifespan opens store and broker and starts the loops, and drains them at the end."""
    chosen = settings or get_settings()

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        configure_logging(
            level=chosen.log_level,
            json=chosen.environment == "production",
            service=chosen.service_name,
            version=chosen.version,
        )
        state = await initialize_components(chosen)
        set_services(application, state.services)
        set_app_state(state)
        try:
            await start_background_tasks(state)
            yield
        finally:
            set_app_state(None)
            await shutdown_background_tasks(state)

    application = create_api(version=chosen.version, lifespan=lifespan)
    application.add_middleware(PlainStartupFailure)
    return application


def _app() -> FastAPI:
    try:
        return create_app()
    except ConfigurationError as error:
        raise SystemExit(f"The service cannot start.\n{error}") from error


app = _app()
