"""`review-fetcher audit`."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.cli.backend import Where
from app.cli.exits import UsageError
from app.cli.given import usable_tenant
from app.cli.options import ApiKey, Limit, Server
from app.cli.requests import chosen
from app.models.audit import ALL_TENANTS, Action

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def audit(
    *,
    since: Annotated[
        str, typer.Option(help="Of this time or after it: 30m, 24h, 7d, or a date or time, e.g. 2026-01-31.")
    ] = "7d",
    action: Annotated[Action | None, typer.Option(help="Only of this action.", show_choices=False)] = None,
    actor: Annotated[
        str | None,
        typer.Option(help="Only by this one: a key's id, console: and such an id, cli: and a user, system, nobody."),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this: the id of a job, a key …")] = None,
    limit: Limit = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    tenant: Annotated[
        str | None,
        typer.Option(
            callback=usable_tenant,
            help="Only of this tenant, in the local store; a server knows by the API key. Default: all.",
        ),
    ] = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line for each entry.")] = False,
) -> None:
    """Show who did what to which job or key, when, and from where: the newest entries, in their order.

    Those of the local store (DATABASE_URL), or of a running service (--server). Times are UTC.
    """
    if server and tenant is not None:
        raise UsageError("--tenant is for the local store: with --server the API key says whose entries they are")
    from app.cli.auditing import Wanted, show_entries  # noqa: PLC0415 - slow to import
    from app.models.audit_views import AuditFilter  # noqa: PLC0415

    which = chosen(AuditFilter, since=_moment(since), action=action, actor=actor, subject=subject)
    where = Where(server, api_key) if server else Where(tenant=ALL_TENANTS if tenant is None else tenant)
    raise typer.Exit(asyncio.run(show_entries(where, Wanted(which, limit, follow=follow, as_json=as_json))))


def _moment(text: str) -> str:
    """So long ago, in the words of the filter; what is no age is left as it is. Raises UsageError."""
    found = _AGE.fullmatch(text)
    if found is None:
        return text
    try:
        began = datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise UsageError(f"--since: {text} ago is before the year 1") from None
    return began.isoformat(timespec="seconds")
