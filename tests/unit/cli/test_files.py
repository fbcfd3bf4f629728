"""A result file is whole, or it is not there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.cli.exits import CommandError, UsageError
from app.cli.files import format_of, write_whole


async def chunks(*parts: bytes, fails: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if fails:
        raise CommandError("the source broke off")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_file_and_its_folder_are_made(tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.csv"
    await write_whole(out, chunks(b"a\n", b"b\n"))
    assert out.read_bytes() == b"a\nb\n"
    assert [path.name for path in out.parent.iterdir()] == ["x.csv"]


async def test_a_source_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    out.write_bytes(b"old")
    with pytest.raises(CommandError):
        await write_whole(out, chunks(b"new", fails=True))
    assert out.read_bytes() == b"old"
    assert names_in(tmp_path) == ["x.csv"]


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file, not a folder")
    with pytest.raises(CommandError, match="cannot write"):
        await write_whole(tmp_path / "x" / "y.csv", chunks(b"a"))


async def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(CommandError, match="cannot write"):
        await write_whole(tmp_path / "x.csv", chunks(b"a"))
    assert names_in(tmp_path) == ["x.csv"]


@pytest.mark.parametrize(("name", "form"), [("x.ndjson", "ndjson"), ("x.JSONL", "ndjson"), ("x.csv", "csv")])
def test_the_name_says_the_format(name: str, form: str) -> None:
    assert format_of(Path(name)) == form


@pytest.mark.parametrize("name", ["x", "x.json", "x.csv.gz"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must end in"):
        format_of(Path(name))


def test_a_folder_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        format_of(tmp_path / "x.csv")
