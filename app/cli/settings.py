"""`review-fetcher settings`."""

from app.cli.options import Json
from app.cli.screen import show_json, show_table


def settings(*, as_json: Json = False) -> None:
    """Show the settings as they are in force here: the environment, `.env`, and defaults for the rest.

    Of a secret only whether it is set. A running service tells its own at `/api/v1/settings`.
    """
    from app.config import get_settings  # noqa: PLC0415 - what reads no settings starts without them
    from app.config.shown import shown  # noqa: PLC0415

    found = shown(get_settings())
    if as_json:
        show_json(found)
    else:
        show_table(("setting", "value", "source"), [(item.name, item.value, item.source) for item in found.settings])
