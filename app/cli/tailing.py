"""The feed of all jobs as lines, and a cursor that is never ahead of what was written."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from app.cli.backend import Backend, Where, opened
from app.cli.exits import AwayError, CommandError, ExitCode
from app.cli.interrupts import Patience, interrupted
from app.cli.screen import remarks, stdout_of_bytes
from app.telemetry.redaction import escape

PAGE = 500
"""Reviews asked for at once."""

LOOK_SECONDS = 1.0
"""Between two looks for new reviews."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Begin behind `after`, else behind the cursor in the file, else at the first review."""

    after: str | None
    cursor_file: Path | None
    follow: bool


async def follow_feed(where: Where, tail: Tail) -> ExitCode:
    """Print what there is; with `follow` go on until interrupted. Raises CommandError."""
    reading = Reading(tail)
    async with opened(where) as backend:
        stopped = await interrupted(reading.run(backend))
    if tail.cursor_file is None and reading.cursor is not None:
        remarks().print(Text(escape(f"Go on with: --after {reading.cursor}")))
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


class Reading:
    """How far the feed was printed."""

    def __init__(self, tail: Tail, patience: Patience | None = None) -> None:
        self._tail = tail
        self._patience = patience or Patience()
        self._write = stdout_of_bytes(json_text=True)
        self.cursor = tail.after or _kept(tail.cursor_file)

    async def run(self, backend: Backend) -> None:
        """Page after page."""
        while True:
            try:
                more = await self._page(backend)
                self._patience.answered()
            except AwayError as error:
                if not self._tail.follow:
                    raise
                await self._patience.wait(error)
                continue
            if more:
                continue
            if not self._tail.follow:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _page(self, backend: Backend) -> bool:
        """Print a page; whether there is more. Nothing is waited for between the lines and their cursor."""
        page = await backend.feed(self.cursor, PAGE)
        for review in page.reviews:
            self._write(bytes(review) + b"\n")
        sys.stdout.flush()
        if page.next_cursor != self.cursor:
            _keep(self._tail.cursor_file, page.next_cursor)
        self.cursor = page.next_cursor
        return page.more


def _kept(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read the cursor in {path}: {error}") from error


def _keep(path: Path | None, cursor: str) -> None:
    """On the disk before the next page is asked for; the old one stays until then."""
    if path is None:
        return
    aside = path.with_name(f".{path.name}.partial")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(cursor + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise CommandError(f"cannot keep the cursor in {path}: {error.strerror or error}") from error
