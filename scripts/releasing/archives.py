"""Archives whose bytes depend on their content alone: sorted, nobody's, all of one time."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    content: bytes
    executable: bool = False


def write_archive(path: Path, members: Mapping[str, Member], epoch: int) -> None:
    """A .tar.gz of the members by their names. `epoch`: their time, in seconds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, member in sorted(members.items()):
            header = tarfile.TarInfo(name)
            header.size, header.mtime, header.mode = len(member.content), epoch, 0o755 if member.executable else 0o644
            archive.addfile(header, io.BytesIO(member.content))
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, epoch) as compressed:
        compressed.write(buffer.getvalue())


def read_archive(path: Path) -> dict[str, Member]:
    """The files in a .tar.gz."""
    with tarfile.open(path, "r:gz") as archive:
        return {one.name: _member(archive, one) for one in archive.getmembers() if one.isfile()}


def _member(archive: tarfile.TarFile, one: tarfile.TarInfo) -> Member:
    content = archive.extractfile(one)
    return Member(content.read() if content else b"", bool(one.mode & 0o100))
