"""`review-fetcher fetch`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import UsageError
from app.cli.files import format_of
from app.cli.requests import Token, given_token
from app.telemetry.logging import configure_logging


def fetch(
    *,
    out: Annotated[Path, typer.Option(help="The file to write: x.ndjson or x.csv. It appears when it is complete.")],
    token: Token = None,
    google_url: Annotated[
        str | None, typer.Option(help="One base URL in place of Google's hosts; else GOOGLE_API_BASE_URL.")
    ] = None,
    mock: Annotated[
        bool | None,
        typer.Option("--mock/--no-mock", help="The built-in simulated Google, or the real one; else MOCK_GOOGLE_API."),
    ] = None,
) -> None:
    """Fetch all reviews that a token can see into one file, without a server.

    The quota is kept as by the service (RATELIMIT_* settings). Ctrl-C stops at the next page; the same command with
    the same --out goes on where it stopped, without a token or with a newer one. What it needs for that is in
    OUT.state/, which is removed when the job is complete.

    Exit codes: 0 complete · 3 the job failed · 4 some reviews could not be fetched: run again · 5 the token expired:
    run again with a new one · 130 interrupted: run again.
    """
    form = format_of(out)
    if mock and google_url:
        raise UsageError("--mock and --google-url contradict each other")
    access_token = given_token(token)
    from app.cli.fetching import Plan, run_fetch  # noqa: PLC0415 - the whole service is slow to import

    configure_logging(level="ERROR", json=False)  # what matters of one job is told as its progress
    code = asyncio.run(run_fetch(Plan(out, form, access_token, google_url, mock)))
    raise typer.Exit(code)
