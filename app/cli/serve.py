"""`review-fetcher serve`."""

import socket
from typing import Annotated

import typer

from app.cli.exits import CommandError
from app.cli.given import possible_host


def serve(
    host: Annotated[
        str | None, typer.Option(callback=possible_host, help="Address to listen on; else HOST, 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; else PORT, 8000. 0 = a free one.")
    ] = None,
) -> None:
    """Run the service: the HTTP API and all its workers in one process, until Ctrl-C or SIGTERM.

    Without any configuration it keeps its data in ./data and fetches from a built-in simulated Google. A stop lets
    pages in flight finish (at most 25 seconds); what is left goes on at the next start.
    """
    from app.config import get_settings  # noqa: PLC0415 - slow to import, as the next

    settings = get_settings()
    chosen_host, chosen_port = host or settings.host, settings.port if port is None else port
    listening = listen(chosen_host, chosen_port)
    from app.cli.server import run_server  # noqa: PLC0415

    if not run_server(settings, listening):
        raise CommandError("the service did not start: the lines above say why")


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Before the service opens anything, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CommandError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from error
    return bound
