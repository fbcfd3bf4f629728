"""`review-fetcher settings`."""

import asyncio
from typing import TYPE_CHECKING

from app.cli.options import ApiKey, Json, Server
from app.cli.screen import show_json, show_table

if TYPE_CHECKING:
    from app.models.overview import SettingList


def settings(*, server: Server = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Show the settings as they are in force: here (the environment, `.env`, and defaults), or of a running service.

    Of a secret only whether it is set.
    """
    found = asyncio.run(_of_service(server, api_key)) if server else _own()
    if as_json:
        show_json(found)
    else:
        show_table(("setting", "value", "source"), [(item.name, item.value, item.source) for item in found.settings])


def _own() -> "SettingList":
    """They need no store."""
    from app.config import get_settings  # noqa: PLC0415 - what reads no settings starts without them
    from app.config.shown import shown  # noqa: PLC0415

    return shown(get_settings())


async def _of_service(server: str, api_key: str | None) -> "SettingList":
    from app.cli.remote import Service  # noqa: PLC0415 - aiohttp is slow to import

    async with Service(server, api_key) as service:
        return await service.settings()
