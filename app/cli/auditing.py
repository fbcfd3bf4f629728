"""The audit log on the screen: the newest entries, and those that come."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import typer

from app.cli.backend import Where, opened
from app.cli.exits import AwayError, ExitCode
from app.cli.interrupts import Patience, interrupted
from app.cli.screen import say, show_json_line
from app.models.audit_views import AuditEntryView, AuditFilter, AuditPage
from app.telemetry.redaction import clean_text

PAGE = 1_000
"""Entries asked for at once."""

LOOK_SECONDS = 1.0
"""Between two looks for new entries."""

AGAIN_SECONDS = 0.05
LOOKS = 100
"""PostgreSQL knows what is certain when the transactions under way have ended: soon, or somebody keeps one open."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The newest `limit` of the chosen entries; with `follow` also those that come."""

    which: AuditFilter
    limit: int
    follow: bool
    as_json: bool


async def show_entries(where: Where, wanted: Wanted) -> ExitCode:
    """Print what there is; with `follow` go on until interrupted. Raises CommandError."""
    async with opened(where) as backend:
        stopped = await interrupted(follow(backend, wanted))
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


class Log(Protocol):
    """What is asked: a backend."""

    async def audit(self, wanted: AuditFilter, limit: int, after: str | None) -> AuditPage: ...


async def follow(backend: Log, wanted: Wanted) -> None:
    """Print the newest entries, and with `follow` what comes, for ever."""
    cursor = await _show_newest(backend, wanted)
    patience = Patience()
    while wanted.follow:
        try:
            page = await backend.audit(wanted.which, PAGE, cursor)
            patience.answered()
        except AwayError as error:
            await patience.wait(error)
            continue
        for entry in page.entries:
            _show(entry, as_json=wanted.as_json)
        cursor = page.next_cursor
        if not page.more:
            await asyncio.sleep(LOOK_SECONDS)


async def _show_newest(backend: Log, wanted: Wanted) -> str:
    """Read through all that is chosen and show its end; where to go on."""
    newest: deque[AuditEntryView] = deque(maxlen=wanted.limit)
    seen, looks, cursor, more = 0, 0, None, True
    while more and looks < LOOKS:
        page = await backend.audit(wanted.which, PAGE, cursor)
        newest.extend(page.entries)
        seen += len(page.entries)
        if page.more and page.next_cursor == cursor:
            looks += 1
            await asyncio.sleep(AGAIN_SECONDS)
        cursor, more = page.next_cursor, page.more
    if more:
        say("A transaction that has been open for long keeps entries back. Ask again when it has ended.")
    for entry in newest:
        _show(entry, as_json=wanted.as_json)
    if seen > wanted.limit:
        say(f"{seen - wanted.limit:,} older entries are left out: --limit shows more of them.")
    elif not seen and not wanted.follow:
        say("There are no such entries.")
    return cursor or ""


def _show(entry: AuditEntryView, *, as_json: bool) -> None:
    if as_json:
        show_json_line(entry.model_dump(mode="json"))
        return
    typer.echo(clean_text(line_of(entry)))


def line_of(entry: AuditEntryView) -> str:
    """When, whose, who, what, to what, from where, in which request, and the rest; - for what is empty."""
    named = (entry.tenant, entry.actor, entry.action, entry.subject, entry.address, entry.request_id)
    detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else ""
    return "  ".join((f"{entry.at:%Y-%m-%d %H:%M:%S}", *(one or "-" for one in named), detail)).rstrip()
