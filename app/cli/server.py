"""The service under uvicorn, started from here."""

import socket
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.cli.exits import told
from app.cli.screen import say
from app.config import Settings
from app.main import create_app
from app.telemetry.logging import configure_logging

GRACEFUL_SECONDS = 4
"""For requests under way; the drain of pages in flight (20 s) follows, and the whole stop stays within 25 s."""


def run_server(settings: Settings, listening: socket.socket) -> bool:
    """Serve until a signal. False if the service could not start (the reason has been logged)."""
    configure_logging(
        level=settings.log_level,
        json=settings.environment == "production",
        service=settings.service_name,
        version=settings.version,
    )
    server = server_of(settings)
    say(f"Starting at {url_of(listening)} (its API is described at /docs); Ctrl-C stops it.")
    with suppress(KeyboardInterrupt, SystemExit):  # after an orderly stop; and uvicorn's own code for a failed start
        server.run(sockets=[listening])
    return server.started


def server_of(settings: Settings) -> uvicorn.Server:
    """One worker process: the in-process broker and the store's single writer live in it."""
    config = uvicorn.Config(
        PlainStartup(create_app(settings)),
        workers=1,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return uvicorn.Server(config)


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class PlainStartup:
    """Tells an expected error of the start in its own words: the framework would log its traceback."""

    def __init__(self, application: FastAPI) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return

        async def send_plainly(message: MutableMapping[str, Any]) -> None:
            error = sys.exc_info()[1]  # the framework reports from within its except clause
            if message["type"] == "lifespan.startup.failed" and error is not None and (line := told(error)):
                message = {**message, "message": line}
            await send(message)

        await self._application(scope, receive, send_plainly)
