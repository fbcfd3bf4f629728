"""The folder that the site is built into: emptied before, so it has to be one that nothing else is kept in."""

import shutil
from pathlib import Path

MARKER = ".review-fetcher-site"
"""A file of every folder that was built into."""


class OutputError(Exception):
    """The folder is not to be emptied. The message says why, and what to do."""


def make_empty(output: Path, project: Path) -> None:
    """What an earlier build left is gone: a page that was taken away leaves nothing behind.

    OutputError, with nothing touched, for a folder that no build has made, unless it is empty.
    """
    place = output.resolve()
    if place.exists():
        _verify(place, project.resolve())
        shutil.rmtree(place)
    place.mkdir(parents=True)
    (place / MARKER).touch()


def _verify(place: Path, project: Path) -> None:
    if not place.is_dir():
        raise OutputError(f"{place} is no folder: name another one.")
    if project.is_relative_to(place):
        raise OutputError(f"{place} holds the project, and a build empties its folder: name another one.")
    if any(place.iterdir()) and not (place / MARKER).is_file():
        raise OutputError(
            f"{place} holds something that no build of the site has made, and a build empties its folder:"
            " name another one, or delete it yourself."
        )
