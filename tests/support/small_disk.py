"""A service whose folder of the store is a disk of some megabytes of its own, which a test fills and empties."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.machine import lacking
from tests.support.service import Service, Site

MEGABYTES = 16
_MOUNT = f'mount -t tmpfs -o size={MEGABYTES}m tmpfs data && exec "$@"'


def unshare() -> list[str]:
    """The command that gives a process mounts of its own. Skips where that is not allowed."""
    program = shutil.which("unshare") or "unshare"
    ways = ([program, "--mount"], [program, "--mount", "--user", "--map-root-user"])
    allowed = next(filter(_is_allowed, ways), None)
    if allowed is None:
        lacking("no mounts of one's own here (unshare --mount): nor a disk that can be filled")
    return allowed


def _is_allowed(command: list[str]) -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return False


class SmallDisk:
    """Where `service` keeps its store; nobody else sees it."""

    def __init__(self, service: Service, place: Site) -> None:
        self._folder = Path(f"/proc/{service.pid}/root{place.database.parent}")
        self._ballast = self._folder / "ballast"

    def fill(self) -> None:
        """Until not a byte more goes in."""
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4096)):
                pass

    def empty(self) -> None:
        self._ballast.unlink()


def started_on_small_disk(place: Site) -> tuple[Service, SmallDisk]:
    """A service that is ready, and its disk."""
    place.database.parent.mkdir()
    service = place.launch_by([*unshare(), "sh", "-c", _MOUNT, "sh"]).started()
    return service, SmallDisk(service, place)
