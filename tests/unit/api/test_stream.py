"""Long answers: whole, or visibly not."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from app.api.stream import FileStream

Messages = list[MutableMapping[str, Any]]


class Parts:
    """Counts what was asked for, and whether it was closed."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self.asked = 0
        self.closed = False
        self._parts = parts

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for part in self._parts:
                self.asked += 1
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            self.closed = True


async def _run(answer: FileStream, *, hang_after: int = 99) -> Messages:
    sent: Messages = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if len(sent) >= hang_after:
            await asyncio.Event().wait()
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET", "headers": []}
    await answer(scope, receive, send)
    return sent


async def test_every_part_is_sent_and_then_the_end() -> None:
    parts = Parts(b"one", b"two")
    sent = await _run(await FileStream.of(parts(), "text/csv", file_name="reviews.csv"))
    assert [message.get("body") for message in sent[1:]] == [b"one", b"two", b""]
    assert [message["more_body"] for message in sent[1:]] == [True, True, False]
    assert parts.closed


async def test_an_error_before_the_first_part_is_raised_before_anything_is_sent() -> None:
    with pytest.raises(LookupError):
        await FileStream.of(Parts(LookupError())(), "text/csv", file_name="reviews.csv")


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStream, "send_seconds", 0.01)
    parts = Parts(b"one", b"two", b"three", b"four")
    sent = await _run(await FileStream.of(parts(), "text/csv", file_name="reviews.csv"), hang_after=2)
    assert [message.get("more_body") for message in sent] == [None, True]
    assert parts.asked == 2
    assert parts.closed


async def test_an_empty_file_is_whole() -> None:
    sent = await _run(await FileStream.of(Parts()(), "text/csv", file_name="reviews.csv"))
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
