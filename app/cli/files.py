"""Result files: complete, or not there at all."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.cli.exits import CommandError, UsageError

FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}


def format_of(path: Path) -> str:
    """ndjson or csv, by the file's name. Raises UsageError, CommandError."""
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"--out: {path.name} must end in .ndjson or .csv")
    refuse_folder(path)  # before the first call, not after the last
    return form


def refuse_folder(path: Path) -> None:
    """Raises UsageError for a folder as --out, CommandError for what cannot be looked at."""
    if is_there(path) and path.is_dir():
        raise UsageError(f"--out: {path} is a folder: name a file")


def is_there(path: Path) -> bool:
    """Whether it exists. Raises CommandError where that cannot be told: another user's folder, too long a name …"""
    try:
        return path.exists()
    except OSError as error:
        raise CommandError(f"cannot look at {path}: {error.strerror or error}") from error


async def write_whole(path: Path, chunks: AsyncIterator[bytes]) -> None:
    """Write the chunks beside `path`, and put the file in its place when everything is on the disk."""
    aside = path.with_name(f".{path.name}.partial")
    try:
        await _write(aside, chunks)
        aside.replace(path)
    except OSError as error:
        _remove(aside)
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        _remove(aside)
        raise


async def _write(path: Path, chunks: AsyncIterator[bytes]) -> None:
    with _create(path) as file:
        async for chunk in chunks:
            file.write(chunk)
        _finish(file)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
