"""What commands print: results to stdout, everything about them to stderr."""

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Sequence

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.telemetry.redaction import clean, escape

PIPE_WIDTH = 240
"""Of tables that go to a file or another program: nothing is cut off."""


def results() -> Console:
    """stdout."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def remarks() -> Console:
    """stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A remark for people. What others wrote into it can neither forge lines nor steer the terminal."""
    for line in text.splitlines():
        remarks().print(Text(str(clean(line))))


def say_error(text: str) -> None:
    """Why the command ends here."""
    lines = text.splitlines() or ["unknown"]
    for line in lines:
        remarks().print(Text("error: ", style="bold red"), Text(str(clean(line))), sep="")


def show_line(text: str) -> None:
    """A line of a result."""
    results().print(Text(str(clean(text))))


def show_json(value: BaseModel | object) -> None:
    """One JSON document for other programs."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    results().print(harmless_json(json.dumps(plain, indent=2, ensure_ascii=False)), markup=False, soft_wrap=True)


def show_json_line(value: object) -> None:
    """One of many JSON documents, a line each, at once."""
    typer.echo(harmless_json(json.dumps(value, ensure_ascii=False)))


def harmless_json(text: str) -> str:
    """The same JSON with nothing in it that steers a terminal: such characters have an escape of their own there."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_STEERING = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What `telemetry.redaction` escapes too, but for what JSON always does."""


def stdout_of_bytes(*, json_text: bool) -> Callable[[bytes], None]:
    """Writes UTF-8 to stdout: as it is to a file or a program, and on a terminal with nothing that steers it."""
    out = sys.stdout
    if not out.isatty():

        def write(chunk: bytes) -> None:
            out.buffer.write(chunk)

        return write
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=not json_text)

    def show(chunk: bytes) -> None:
        text = decoder.decode(chunk)
        out.write(harmless_json(text) if json_text else escape(text, keep_newlines=True))

    return show


def say_cursor(cursor: str | None) -> None:
    """Where to go on. It is long and random, and no secret."""
    if cursor is not None:
        remarks().print(Text(escape(f"There is more: --cursor {cursor}")))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table without ornament; cells are plain text."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(clean(str(cell)))) for cell in row))
    results().print(table)


def show_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in facts:
        if value is not None:
            table.add_row(name, Text(str(clean(str(value)))))
    results().print(table)
