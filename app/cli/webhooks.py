"""`review-fetcher webhooks`."""

from typing import TYPE_CHECKING

import typer

from app.cli.exits import CommandError
from app.cli.files import is_there
from app.cli.options import Json, Tenant
from app.cli.screen import say, show_json
from app.config import get_settings
from app.models.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from app.models.webhooks import WebhookSecrets

application = typer.Typer(no_args_is_help=True, help="Webhooks: what a tenant's receivers verify messages by.")


@application.callback()
def webhooks() -> None:
    """Keeps `secrets` a command of its own: typer would make the only one the group itself."""


@application.command()
def secrets(tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """Print the secrets of a tenant's webhooks, one for each sealing key, newest first.

    Who knows one can forge messages. A receiver needs one of them, best the first.
    """
    found = _secrets(tenant)
    if as_json:
        show_json(found)
        return
    for secret in found.secrets:
        typer.echo(secret)
    say(f"Each message to a callback of tenant {tenant} is signed with each of these. Keep them secret.")


def _secrets(tenant: str) -> "WebhookSecrets":
    """Of the keys that the service here would start with; none is made."""
    from app.models.webhooks import WebhookSecrets  # noqa: PLC0415 - what they are made of is slow to import
    from app.webhooks.signing import WebhookSigner  # noqa: PLC0415
    from app.wiring.values import sealing_keys  # noqa: PLC0415

    settings = get_settings()
    key = settings.data_directory / "sealing.key"
    if not settings.sealing_keys and not is_there(key):
        raise CommandError(f"there is no sealing key at {key}: start the service once, or set TOKEN_SEALING_KEYS")
    return WebhookSecrets(secrets=WebhookSigner(sealing_keys(settings)).secrets(tenant))
