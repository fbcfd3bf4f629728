"""The commands of a Markdown page, as a reader would type them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("console", "sh")
"""Fences that hold commands: a terminal with its output, where commands stand behind `$ `, and a script."""

FENCE = re.compile(r"^ *(`{3,})(\w*)[^`]*$")
MARKER = re.compile(r"^ *<!-- *(.+?) *--> *$")
HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


@dataclass(frozen=True)
class Command:
    """One command. `text` may have several lines (continued, or with a here-document); `line` counts from 1.

    `marker` is the text of an HTML comment right above the block, for example "not-run: needs a Google account".
    """

    text: str
    line: int
    language: str
    marker: str | None


@dataclass(frozen=True)
class Block:
    language: str
    marker: str | None
    first_line: int
    lines: list[str]


def commands(path: Path) -> list[Command]:
    """Every command of the page, in its order. A fence that is never closed is an error."""
    blocks = read_blocks(path.read_text().splitlines(), path.name)
    return [command for block in blocks if block.language in LANGUAGES for command in split(block)]


def read_blocks(lines: list[str], name: str) -> list[Block]:
    blocks: list[Block] = []
    opened: tuple[str, Block] | None = None
    above = ""
    for number, line in enumerate(lines, start=1):
        if opened is not None:
            fence, block = opened
            if line.strip() == fence:
                blocks.append(block)
                opened = None
            else:
                block.lines.append(line)
        elif fenced := FENCE.match(line):
            marker = MARKER.match(above)
            opened = fenced[1], Block(fenced[2], marker and marker[1], number + 1, [])
        above = line if line.strip() else above
    if opened is not None:
        raise ValueError(f"{name}: the block at line {opened[1].first_line} is never closed")
    return blocks


def split(block: Block) -> Iterator[Command]:
    """The block's commands: each with the lines that continue it, without prompts, output and comments."""
    text, start = "", 0
    for number, line in enumerate(block.lines, start=block.first_line):
        if text:
            text += "\n" + line.removeprefix("> ")
        else:
            text, start = typed(line.strip(), block.language), number
        if text and is_complete(text):
            yield Command(text, start, block.language, block.marker)
            text = ""
    if text:
        raise ValueError(f"line {start}: the command is not complete: {text}")


def typed(line: str, language: str) -> str:
    """What a reader types on this line; "" for output, comments and empty lines."""
    if language == "console":
        return line.removeprefix("$ ") if line.startswith("$ ") else ""
    return "" if line.startswith("#") else line


def is_complete(text: str) -> bool:
    """Whether a shell would run this now, or wait for more: a here-document, an open quote, a last backslash."""
    if here := HERE_DOCUMENT.search(text):
        return text.splitlines()[-1].strip() == here[2]
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")
