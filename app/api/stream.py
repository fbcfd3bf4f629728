"""Long answers, sent as they are made."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

SEND_SECONDS = 60.0
"""A client that takes nothing for so long is let go, or it would hold its connection for ever."""


class FileStream(StreamingResponse):
    """A streamed answer whose errors still become problems if they happen before the first part."""

    send_seconds = SEND_SECONDS
    _is_late = False

    @classmethod
    async def of(cls, parts: AsyncIterator[bytes], media_type: str, *, file_name: str) -> "FileStream":
        """`file_name`: what a browser saves it as; of letters, digits, `-`, `_` and `.` alone, so without quoting."""
        first = await anext(parts, b"")
        saved_as = {"content-disposition": f'attachment; filename="{file_name}"'}
        return cls(_again(first, parts), media_type=media_type, headers=saved_as)

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self.send_seconds):
                await send(message)

        # A stream that returns without its end is cut off by the server, so the client does not take it for whole.
        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            self._is_late = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
            if self._is_late:
                await _cut(receive)
        finally:
            await _close(self.body_iterator)


class EventStream(FileStream):
    """Server-sent events: nothing on the way may keep them back, and who takes none is let go soon, to come back."""

    media_type = "text/event-stream"
    send_seconds = 15.0

    def __init__(self, content: AsyncIterator[bytes], media_type: str = media_type) -> None:
        super().__init__(content, media_type=media_type, headers={"X-Accel-Buffering": "no"})


def event_stream(events: AsyncIterator[bytes] | None) -> Response:
    """The stream; for None 204, which keeps a browser from coming back."""
    return Response(status_code=204) if events is None else EventStream(events)


async def _again(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for part in parts:
            yield part
    finally:
        await _close(parts)


async def _cut(receive: Receive) -> None:
    """The server would close the connection only when the client has taken what is buffered for it: never.

    The application is not given its connection; but uvicorn's `receive` is a method of what has it.
    """
    abort = getattr(getattr(getattr(receive, "__self__", None), "transport", None), "abort", None)
    if callable(abort):
        abort()
        await asyncio.sleep(0)  # the server hears of it


async def _close(parts: object) -> None:
    close = getattr(parts, "aclose", None)
    if close is not None:
        await close()
