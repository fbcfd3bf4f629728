"""Server-sent events, read as a browser reads them."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.service import ANSWER_SECONDS, JOBS, Service


@dataclass(frozen=True)
class Event:
    """`kind` "" is a comment, whose text is `data`."""

    kind: str
    id: str
    data: Any


def parse(text: bytes) -> list[Event]:
    """The events and comments of a stream, or of a part of it that ends with an event."""
    blocks = [block for block in text.decode().split("\n\n") if block]
    return [_event(block) for block in blocks if not block.startswith("retry:")]


def _event(block: str) -> Event:
    if block.startswith(":"):
        return Event("", "", block[1:].strip())
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    assert set(fields) == {"event", "id", "data"}, block
    return Event(fields["event"], fields["id"], json.loads(fields["data"]))


class Stream:
    """A client that follows a job at a running service."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self._answer = answer

    def events(self) -> Iterator[Event]:
        """Each as it comes, until the service ends the stream."""
        block = b""
        while line := self._answer.readline():
            block += line
            if line == b"\n":
                yield from parse(block)
                block = b""

    def until(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        """The events so far, as soon as they are enough."""
        found: list[Event] = []
        for event in self.events():
            found.append(event)
            if enough(found):
                return found
        raise AssertionError(f"the stream ended before: {found}")

    def next(self, *kinds: str) -> Event:
        """The next event of one of these kinds."""
        return next(event for event in self.events() if event.kind in kinds)


@contextmanager
def following(service: Service, job_id: str, last_event_id: str | None = None, *, query: str = "") -> Iterator[Stream]:
    """Follow a job, from behind the event with this id on."""
    connection = http.client.HTTPConnection(*service.address, timeout=ANSWER_SECONDS)
    try:
        sent = service.headers | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        connection.request("GET", f"{JOBS}/{job_id}/events?{query}", headers=sent)
        yield Stream(connection.getresponse())
    finally:
        connection.close()
