"""Server-sent events, taken apart (HTML Living Standard, 9.2.6)."""

import json
from typing import Any, NamedTuple

from app.cli.exits import CommandError

LONGEST_EVENT_BYTES = 4 * 2**20
"""A job's whole view takes a few kB."""


class ServerEvent(NamedTuple):
    """`id` goes back as Last-Event-ID after a broken connection; `data` is what the JSON in it says."""

    event: str
    id: str
    data: dict[str, Any]


class EventSource:
    """Takes bytes in any pieces and gives the events that are whole. What is left of a broken stream is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Raises CommandError for what is no stream of events of this service."""
        *blocks, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > LONGEST_EVENT_BYTES:
            raise CommandError("the answer is no stream of events: check the URL")
        return [event for block in blocks if (event := _event(block)) is not None]


def _event(block: bytes) -> ServerEvent | None:
    """None for heartbeats and whatever else holds no data."""
    fields: dict[str, str] = {}
    try:
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "data" not in fields:
            return None
        data = json.loads(fields["data"])
    except ValueError as error:
        raise CommandError("the answer is no stream of events: check the URL") from error
    if not isinstance(data, dict):
        raise CommandError("the answer is no stream of events: check the URL")
    return ServerEvent(fields.get("event", "message"), fields.get("id", ""), data)
