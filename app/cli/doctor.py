"""`review-fetcher doctor`."""

import asyncio

import typer

from app.cli.exits import ExitCode
from app.cli.findings import Finding, Health
from app.cli.options import Json
from app.cli.screen import say, show_json, show_line
from app.telemetry.logging import configure_logging


def doctor(as_json: Json = False) -> None:
    """Check everything that the service needs, and say what to mend.

    Configuration, store and its tables, sealing key, API keys, quota, disk space, limits of the system, port, roles,
    Kafka and its topics, and whether Google (or GOOGLE_API_BASE_URL) answers. Nothing is changed, and no token is
    needed. Exit code 1 if something is broken.
    """
    from app.cli.checks import examine  # noqa: PLC0415 - most of the service is slow to import

    configure_logging(level="CRITICAL", json=False)  # what others have to say of a server that is away is told below
    findings = asyncio.run(examine())
    broken = [finding for finding in findings if finding.health is Health.BROKEN]
    if as_json:
        show_json({"healthy": not broken, "checks": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            tell(finding)
        say(f"{len(broken)} broken." if broken else "Nothing is broken.")
    raise typer.Exit(ExitCode.FAILED if broken else ExitCode.OK)


def tell(finding: Finding) -> None:
    """One line, and what to do about it on the next."""
    show_line(f"{finding.health:<8} {finding.check}: {finding.found}")
    if finding.mend:
        show_line(f"         → {finding.mend}")
