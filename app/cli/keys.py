"""`review-fetcher keys`."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import CommandError, UsageError
from app.cli.options import Json, Tenant
from app.cli.screen import say, show_json, show_table
from app.models.access import DEFAULT_TENANT, TENANT, Scope

if TYPE_CHECKING:
    from app.store.keys import KeyRecord

application = typer.Typer(no_args_is_help=True, help="API keys: make, list and revoke them in the store.")

Scopes = Annotated[
    list[Scope] | None,
    typer.Option("--scope", help="What the key allows; may be given several times. Default: submit, read, operate."),
]

USUAL = (Scope.SUBMIT, Scope.READ, Scope.OPERATE)


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, for people.")],
    scope: Scopes = None,
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    submit: send jobs · read: see jobs and results · operate: cancel, pause, resume, give a token, redrive · admin: all.
    """
    if not name.strip() or not TENANT.fullmatch(tenant):
        raise UsageError("a key needs a name, and a tenant is 1 to 63 of a-z, 0-9, - and _, a letter first")
    record, secret = asyncio.run(_create(name, scope or list(USUAL), tenant))
    typer.echo(secret)
    say(f"Key {record.id} of tenant {record.tenant}: {', '.join(sorted(record.scopes))}. It is not shown again.")


@application.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only keys of this tenant.")] = None, as_json: Json = False
) -> None:
    """List the keys of the store, revoked ones included."""
    records = [_shown(record) for record in asyncio.run(_list(tenant))]
    if as_json:
        show_json(records)
    elif records:
        show_table(tuple(records[0]), [tuple(record.values()) for record in records])
    else:
        say("There are no keys. Make one: review-fetcher keys create NAME")


@application.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]) -> None:
    """Revoke a key. A running service refuses it within 5 seconds."""
    if not asyncio.run(_revoke(key)):
        raise CommandError(f"there is no valid key {key}: `review-fetcher keys list` shows them")
    say(f"Key {key} is revoked.")


async def _create(name: str, scopes: list[Scope], tenant: str) -> "tuple[KeyRecord, str]":
    from app.cli.local import migrated_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.store.keys import create_key  # noqa: PLC0415

    async with migrated_store(exclusive=False) as database:
        return await database.write(create_key, tenant, name, scopes)


async def _list(tenant: str | None) -> "list[KeyRecord]":
    from app.cli.local import existing_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.store.keys import list_keys  # noqa: PLC0415

    async with existing_store() as database:
        return await database.read(list_keys, tenant)


async def _revoke(key: str) -> bool:
    from app.cli.local import existing_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.store.keys import revoke_key  # noqa: PLC0415

    async with existing_store() as database:
        return await database.write(revoke_key, key)


def _shown(record: "KeyRecord") -> dict[str, str | None]:
    return {
        "id": record.id,
        "tenant": record.tenant,
        "name": record.name,
        "scopes": " ".join(sorted(record.scopes)),
        "created_at": _time(record.created_at),
        "revoked_at": None if record.revoked_at is None else _time(record.revoked_at),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
