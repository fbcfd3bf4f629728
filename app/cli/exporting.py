"""A job's reviews into a file or to stdout, with a count of what has arrived."""

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from rich.filesize import decimal
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.backend import Where, opened
from app.cli.exits import UsageError
from app.cli.files import write_whole
from app.cli.progress import LINE_SECONDS
from app.cli.screen import remarks, say, stdout_of_bytes
from app.models.review_filter import ReviewFilter


async def export_reviews(where: Where, job_id: str, form: str, wanted: ReviewFilter, out: Path | None) -> None:
    """`out` None: to stdout. What is cut off is no file, and an error. Raises CommandError."""
    async with opened(where) as backend:
        chunks: AsyncIterator[bytes] = backend.reviews(job_id, "ndjson" if form == "json" else form, wanted)
        counted = Counted(as_array(chunks) if form == "json" else chunks)
        if out is None:
            await _to_stdout(counted.chunks(), form)
        else:
            await write_whole(out, counted.chunks())
    say(f"{decimal(counted.size)} in {out or 'all'}.")


async def _to_stdout(chunks: AsyncIterator[bytes], form: str) -> None:
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("--out: Parquet is nothing to read on a terminal: name a file, or pipe it")
    write = stdout_of_bytes(json_text=form != "csv")
    async for chunk in chunks:
        write(chunk)
    sys.stdout.flush()


async def as_array(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """NDJSON as one JSON array, an element a line."""
    before, rest = b"[\n", b""
    async for chunk in lines:
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield before + b",\n".join(whole)
            before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


class Counted:
    """Chunks on their way, and on stderr how much has come: a line that changes on a terminal, lines elsewhere."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The same, unchanged."""
        console = remarks()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            line = progress.add_task("waiting for the first reviews", total=None)
            said_at = time.monotonic()
            async for chunk in self._chunks:
                self.size += len(chunk)
                progress.update(line, description=decimal(self.size))
                if not console.is_terminal and time.monotonic() - said_at >= LINE_SECONDS:
                    said_at = time.monotonic()
                    say(f"{decimal(self.size)} so far")
                yield chunk
