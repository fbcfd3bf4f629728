"""The body of an answer, never more of it than a limit: not on the wire, and not once it is unpacked."""

import asyncio
import zlib
from contextlib import AsyncExitStack

from aiohttp import ClientError, ClientResponse

from app.google.errors import GoogleAPIError, broken_answer

_GZIP = 16 + zlib.MAX_WBITS
_LONGEST_ERROR = 64 * 1024
LARGE_BODY = 2**20
"""Pages of fifty long reviews are a tenth of it."""
# An error is known by its status; its text is not worth the whole deadline of a call.
_ERROR_SECONDS = 5.0


async def read_page(response: ClientResponse, limit: int, large: asyncio.Semaphore) -> bytes:
    """The decoded body; a `GoogleAPIError` (transient) if it is over `limit` bytes, packed or unpacked, or damaged.

    Beyond `LARGE_BODY` on the wire it is read only while `large` lets it: all others wait, within their own deadlines.
    """
    encoding = _encoding(response)
    if encoding not in {"identity", "gzip"}:
        raise broken_answer("content_encoding", "packed in a way that was not asked for")
    data = await _read(response, limit, large)
    return gunzip(data, limit) if encoding == "gzip" else data


async def read_error(response: ClientResponse) -> bytes:
    """What can be had of an error's body, up to 64 KiB: a body that is cut, hangs or is damaged still has a status."""
    received = bytearray()
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > _LONGEST_ERROR:
                    break
    except (ClientError, OSError, TimeoutError):
        pass
    data = bytes(received[:_LONGEST_ERROR])
    return _unpacked_start(data) if _encoding(response) == "gzip" else data


def gunzip(data: bytes, limit: int) -> bytes:
    """One gzip member unpacked, never beyond `limit` bytes; a `GoogleAPIError` (transient) for anything else."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        page = unpacker.decompress(data, limit + 1)
    except zlib.error:
        raise broken_answer("bad_gzip", "damaged (gzip)") from None
    if len(page) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise broken_answer("cut", "cut off (gzip)")
    if unpacker.unused_data:
        raise broken_answer("bad_gzip", "followed by more than its gzip data")
    return page


async def _read(response: ClientResponse, limit: int, large: asyncio.Semaphore) -> bytes:
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async with AsyncExitStack() as alone:
        async for chunk in response.content.iter_any():
            if size <= LARGE_BODY < size + len(chunk):
                await alone.enter_async_context(large)
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _encoding(response: ClientResponse) -> str:
    name = response.headers.get("Content-Encoding", "").strip().lower()
    return {"": "identity", "x-gzip": "gzip"}.get(name, name)


def _unpacked_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GZIP).decompress(data, _LONGEST_ERROR)
    except zlib.error:
        return b""


def _too_large(limit: int) -> GoogleAPIError:
    return broken_answer("page_too_large", f"larger than {limit} bytes")
