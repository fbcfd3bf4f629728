"""Scripts, styles and icons: files of the package, each at an address that changes with its content."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).with_name("static")

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

FOR_EVER = "public, max-age=31536000, immutable"
"""A browser asks for a file once: with other content it has another address."""


class Asset(NamedTuple):
    """A file as it is sent."""

    content: bytes
    media_type: str
    digest: str


def _read() -> dict[str, Asset]:
    found = {}
    for path in sorted(FOLDER.iterdir()):
        content = path.read_bytes()
        found[path.name] = Asset(content, MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
    return found


ASSETS = _read()


def address_of(name: str) -> str:
    """Where a page finds a file."""
    return f"/console/static/{ASSETS[name].digest}/{name}"


async def send_asset(request: Request) -> Response:
    """A file by its name. At an address of another version, a replica of another version sends its own, unkept."""
    asset = ASSETS.get(request.path_params["name"])
    if asset is None:
        return Response(status_code=404)
    current = request.path_params["digest"] == asset.digest
    headers = {"Cache-Control": FOR_EVER if current else "no-store"}
    return Response(asset.content, headers=headers, media_type=asset.media_type)
