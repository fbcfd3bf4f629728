"""`review-fetcher keys`."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import UsageError
from app.cli.given import possible_id, usable_tenant
from app.cli.key_backend import ask_about_keys
from app.cli.options import ApiKey, Cursor, Json, Limit, Server
from app.cli.resealing import forget, reseal
from app.cli.screen import say, say_cursor, show_json, show_table
from app.models.access import Scope

if TYPE_CHECKING:
    from datetime import datetime

    from app.models.keys import KeyView, NewKey

application = typer.Typer(
    no_args_is_help=True,
    help="API keys: make, list, rotate and revoke them, in the local store (DATABASE_URL) or at a service (--server). "
    "Sealing keys: reseal, forget, in the local store.",
)
application.command()(reseal)
application.command()(forget)

Scopes = Annotated[
    list[Scope] | None,
    typer.Option("--scope", help="What the key allows; may be given several times. Default: submit, read, operate."),
]
KeyId = Annotated[str, typer.Argument(callback=possible_id, help="The key's id, as `keys list` shows it.")]
ExpiresIn = Annotated[str | None, typer.Option(help="It ends by itself after this time, e.g. 90d, 24h, 30m.")]
OfTenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        callback=usable_tenant,
        help="Whose, in the local store (a new key: default); a server knows by the API key.",
    ),
]

COLUMNS = ("id", "tenant", "name", "scopes", "state", "created", "expires", "last used", "replaced by")


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, for people.")],
    *,
    scope: Scopes = None,
    expires_in: ExpiresIn = None,
    tenant: OfTenant = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    submit: send jobs · read: see jobs and results · operate: cancel, pause, resume, give a token, redrive · admin: all.
    """
    from app.cli.requests import chosen  # noqa: PLC0415 - pydantic is slow to import
    from app.models.keys import KeyCreation  # noqa: PLC0415

    if not name.strip():
        raise UsageError("a key needs a name")
    wanted = chosen(KeyCreation, name=name, scopes=scope, expires_in=expires_in)
    made = ask_about_keys(server, api_key, tenant, lambda backend: backend.create_key(wanted), make_store=True)
    _show_new(made, as_json=as_json)


@application.command("list")
def list_(
    *,
    tenant: Annotated[
        str | None, typer.Option(callback=usable_tenant, help="Only keys of this tenant, in the local store.")
    ] = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List keys, newest first, those that have ended included."""
    found = ask_about_keys(server, api_key, tenant, lambda backend: backend.keys(limit, cursor))
    if as_json:
        show_json(found)
    elif not found.keys:
        say("There are no keys. Make one: review-fetcher keys create NAME")
    else:
        show_table(COLUMNS, [_row(key) for key in found.keys])
        say_cursor(found.next_cursor)


@application.command()
def rotate(
    key: KeyId,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the old key goes on beside the new one, e.g. 24h; 0: not at all.")
    ] = "24h",
    tenant: OfTenant = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Replace a key by a new one like it, and print that, once.

    Same tenant, name, scopes, and time to live if it has one. Both work for the overlap; then the old one expires.
    """
    from app.cli.requests import chosen  # noqa: PLC0415 - pydantic is slow to import
    from app.models.keys import KeyRotation  # noqa: PLC0415

    wanted = chosen(KeyRotation, overlap=overlap)
    made = ask_about_keys(server, api_key, tenant, lambda backend: backend.rotate_key(key, wanted))
    _show_new(made, as_json=as_json)


@application.command()
def revoke(
    key: KeyId,
    *,
    tenant: OfTenant = None,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Revoke a key. A running service refuses it within 5 seconds."""
    ended = ask_about_keys(server, api_key, tenant, lambda backend: backend.revoke_key(key))
    if as_json:
        show_json(ended)
    else:
        say(f"Key {ended.id} is revoked.")


def _show_new(new: "NewKey", *, as_json: bool) -> None:
    if as_json:
        show_json(new)
    else:
        typer.echo(new.key)
    made, replaced = new.made, new.replaced
    until = f", until {_time(made.expires_at)}" if made.expires_at else ""
    say(f"Key {made.id} of tenant {made.tenant}: {', '.join(made.scopes)}{until}. It is not shown again.")
    if replaced is not None:
        say(f"Key {replaced.id}, which it replaces, works until {_time(replaced.expires_at)}.")


def _row(key: "KeyView") -> tuple[object, ...]:
    return (
        key.id,
        key.tenant,
        key.name,
        " ".join(key.scopes),
        key.state,
        _time(key.created_at),
        _time(key.expires_at),
        _time(key.last_used_at),
        key.replaced_by,
    )


def _time(moment: "datetime | None") -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
