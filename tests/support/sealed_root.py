"""A root like the image's under `docker run --read-only`, without Docker: a mount namespace with nothing in it but
libraries, this Python and the program, all of it read-only. Not even a shell is there.

What runs in it is the image's user, without capabilities and without a way to get any. `/tmp` and the folder of the
store are all that it can write.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = 10001
"""The Dockerfile's."""

HOME = "/srv/review-fetcher"
"""The Dockerfile's WORKDIR."""

_PROGRAMS = ("unshare", "setpriv", "mount", "sh")
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/urandom")

MAKE = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$SEALED"
bound() { mkdir -p "$SEALED$1"; mount --bind "$1" "$SEALED$1"; mount -o remount,bind,ro "$SEALED$1"; }
file() { mkdir -p "$SEALED$(dirname "$1")"; : > "$SEALED$1"; mount --bind "$1" "$SEALED$1"; }
mkdir -p "$SEALED/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$SEALED/tmp"  # first: the program itself may be below /tmp
for folder in $FOLDERS; do bound "$folder"; done
for one in $FILES; do file "$one"; done
for link in /lib /lib64; do
    if [ -L "$link" ]; then ln -s "$(readlink "$link")" "$SEALED$link"; elif [ -d "$link" ]; then bound "$link"; fi
done
mkdir -p "$SEALED/proc" "$SEALED$WORK/data"
mount --rbind /proc "$SEALED/proc"
mount --bind "$DATA" "$SEALED$WORK/data"
: > "$SEALED/setpriv"
mount --bind "$SETPRIV" "$SEALED/setpriv"
mount -o remount,bind,ro "$SEALED"
exec unshare --root="$SEALED" --wd="$WORK" /setpriv --reuid="$USER_ID" --regid="$USER_ID" --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
"""


def sealed(command: list[str], directory: Path, data: Path, *more: Path) -> list[str]:
    """The command as it is run in a sealed root, made anew below `directory`, with `data` as the folder of the store.

    `more`: other folders that it may read.

    The process that is started becomes the command: its pid, signals and exit code are the command's own.
    """
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in _PROGRAMS):
        missing = f"a sealed root needs root and {', '.join(_PROGRAMS)}"
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)(missing)
    root = directory / "sealed"
    root.mkdir(exist_ok=True)
    data.mkdir(exist_ok=True)
    os.chown(data, USER, USER)
    base = Path(sys.base_prefix)
    folders = [*(path for path in _LIBRARIES if Path(path).is_dir()), *_unless_library(base / "lib")]
    folders += [str(ROOT / "app"), str(ROOT / ".venv"), *map(str, more)]
    interpreter = Path(sys.executable).resolve()
    settings = {
        "SEALED": str(root),
        "FOLDERS": " ".join(map(shlex.quote, folders)),
        "FILES": " ".join([str(interpreter), *_linked(Path(sys.executable)), *_DEVICES]),
        "WORK": HOME,
        "DATA": str(data),
        "SETPRIV": str(Path(shutil.which("setpriv") or "").resolve()),
        "USER_ID": str(USER),
    }
    named = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    # What is made stays within the namespace, and ends with it.
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", named + MAKE, "sh", *command]


def _unless_library(path: Path) -> list[str]:
    return [] if str(path) in _LIBRARIES else [str(path)]


def _linked(path: Path) -> list[str]:
    """The names on the way from a virtual environment's Python to the real one, outside the environment."""
    names = []
    while path.is_symlink():
        path = (path.parent / path.readlink()).absolute()
        if path.is_symlink() and ROOT not in path.parents:
            names.append(str(path))
    return names
