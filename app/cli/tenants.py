"""`review-fetcher tenants`: what differs for a tenant from the service's settings. A service follows at once."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.backend import Where, ask
from app.cli.exits import UsageError
from app.cli.given import usable_tenant
from app.cli.options import ApiKey, Json, Server
from app.cli.screen import say, show_json, show_table
from app.models.access import DEFAULT_TENANT, MOST_WEIGHT

if TYPE_CHECKING:
    from app.store.tenants import TenantSettings

application = typer.Typer(
    no_args_is_help=True, help="Tenants: their share of workers and quota, and their limits, in the store."
)

Name = Annotated[str, typer.Argument(metavar="TENANT", callback=usable_tenant, help="The tenant's name.")]
MOST = 1_000_000


@application.command("list")
def list_(*, as_json: Json = False) -> None:
    """List the tenants that have settings of their own. All others are as the service's settings say."""
    found = asyncio.run(_list())
    rows = [{"tenant": tenant, **settings._asdict()} for tenant, settings in found.items()]
    if as_json:
        show_json(rows)
    elif rows:
        show_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        say("No tenant has settings of its own. Give one some: review-fetcher tenants set TENANT --weight 3")


@application.command()
def show(
    tenant: Annotated[
        str,
        typer.Argument(
            metavar="[TENANT]", callback=usable_tenant, help="In the local store; a server knows by the API key."
        ),
    ] = DEFAULT_TENANT,
    *,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show the settings in force for a tenant: of the local store, or by --server of the API key's own tenant."""
    view = ask(Where(server, api_key, tenant), lambda backend: backend.tenant())
    if as_json:
        show_json(view)
    else:
        show_table(("setting", "value"), list(view.model_dump().items()))


@application.command("set")
def set_(
    tenant: Name,
    *,
    weight: Annotated[
        int | None, typer.Option(min=1, max=MOST_WEIGHT, help="Share of workers and quota beside other tenants.")
    ] = None,
    max_open_jobs: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Jobs that may be open at a time. 0 = no limit.")
    ] = None,
    submits_per_minute: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Jobs that may be submitted in a minute. 0 = no limit.")
    ] = None,
    retention_days: Annotated[
        int | None, typer.Option(min=0, max=36_500, help="Days for which ended jobs are kept. 0 = for ever.")
    ] = None,
    drop_reviewers: Annotated[
        bool | None, typer.Option("--drop-reviewers/--keep-reviewers", help="Keep no names and photos of reviewers.")
    ] = None,
) -> None:
    """Give a tenant settings of its own; those that are not named stay."""
    given = {
        "weight": weight,
        "max_open_jobs": max_open_jobs,
        "submits_per_minute": submits_per_minute,
        "retention_days": retention_days,
        "drop_reviewers": drop_reviewers,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise UsageError("name what to set, for example --weight 3")
    _tell(tenant, asyncio.run(_change(tenant, changes)))


@application.command()
def unset(
    tenant: Name,
    *,
    weight: Annotated[bool, typer.Option("--weight", help="Back to 1.")] = False,
    max_open_jobs: Annotated[bool, typer.Option("--max-open-jobs", help="Back to TENANT_MAX_OPEN_JOBS.")] = False,
    submits_per_minute: Annotated[
        bool, typer.Option("--submits-per-minute", help="Back to TENANT_SUBMITS_PER_MINUTE.")
    ] = False,
    retention_days: Annotated[bool, typer.Option("--retention-days", help="Back to the service's.")] = False,
    drop_reviewers: Annotated[bool, typer.Option("--drop-reviewers", help="Back to the service's.")] = False,
) -> None:
    """Give settings of a tenant back to the service's: those that are named, or all."""
    named = {
        "weight": weight,
        "max_open_jobs": max_open_jobs,
        "submits_per_minute": submits_per_minute,
        "retention_days": retention_days,
        "drop_reviewers": drop_reviewers,
    }
    chosen = [name for name, wanted in named.items() if wanted] or list(named)
    _tell(tenant, asyncio.run(_change(tenant, dict.fromkeys(chosen))))


def _tell(tenant: str, settings: "TenantSettings") -> None:
    own = [f"{name} {value}" for name, value in settings._asdict().items() if value is not None]
    say(f"Tenant {tenant}: {', '.join(own) or 'as the service'}.")


async def _list() -> "dict[str, TenantSettings]":
    from app.cli.local import existing_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.store.tenants import list_tenants  # noqa: PLC0415

    async with existing_store() as database:
        return await database.read(list_tenants)


async def _change(tenant: str, changes: Mapping[str, int | bool | None]) -> "TenantSettings":
    from app.cli.local import existing_store, user_of_this_machine  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.models.audit import Action, AuditEntry  # noqa: PLC0415
    from app.store.audit import audited  # noqa: PLC0415
    from app.store.tenants import change_tenant  # noqa: PLC0415

    entry = AuditEntry(tenant, Action.TENANT_SET, tenant, user_of_this_machine(), _shown(changes))
    async with existing_store() as database:
        return await database.write(audited(change_tenant, entry), tenant, changes)


def _shown(changes: Mapping[str, int | bool | None]) -> dict[str, object]:
    """For the audit log."""
    return {name: "unset" if value is None else value for name, value in changes.items()}
