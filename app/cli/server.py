"""The service under uvicorn, started from here."""

import socket
from contextlib import suppress

import uvicorn

from app.cli.screen import say
from app.config import Settings
from app.edge.server import GRACEFUL_SECONDS
from app.main import create_app
from app.telemetry.logging import configure_logging


def run_server(settings: Settings, listening: socket.socket) -> bool:
    """Serve until a signal. False if the service could not start (the reason has been logged)."""
    configure_logging(
        level=settings.log_level,
        json=settings.environment == "production",
        service=settings.service_name,
        version=settings.version,
    )
    server = TellingServer(config_of(settings), described=settings.edge.docs_enabled)
    with suppress(KeyboardInterrupt, SystemExit):  # after an orderly stop; and uvicorn's own code for a failed start
        server.run(sockets=[listening])
    return server.started


class TellingServer(uvicorn.Server):
    """Says where it listens, once it does: uvicorn is silent about sockets that it was given."""

    def __init__(self, config: uvicorn.Config, *, described: bool) -> None:
        super().__init__(config)
        self._described = described

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by `run`."""
        await super().startup(sockets)
        for listening in (sockets or []) if self.started else []:
            described = " (its API is described at /docs)" if self._described else ""
            say(f"Listening on {url_of(listening)}{described}. Ctrl-C stops it.")


def config_of(settings: Settings) -> uvicorn.Config:
    """One worker process: the in-process broker and the store's single writer live in it."""
    return uvicorn.Config(
        create_app(settings),
        workers=1,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
