"""A root like the image's under `docker run --read-only`, without Docker: a mount namespace with nothing in it but
libraries, this Python and what the Dockerfile adds to them, all of it read-only. Not even a shell is there.

What runs in it is the image's user, without capabilities and without a way to get any. `/tmp` and the folder of the
store are all that it can write. It can have a network of its own, where every port is free and nobody else is.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.image import Image, need_namespaces

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
mkdir -p "$SEALED/proc" "$SEALED$WORK"
mount --rbind /proc "$SEALED/proc"
mount --bind "$TREE" "$SEALED$WORK"
mount -o remount,bind,ro "$SEALED$WORK"
mount --bind "$DATA" "$SEALED$WORK/data"
: > "$SEALED/setpriv"
mount --bind "$SETPRIV" "$SEALED/setpriv"
mount -o remount,bind,ro "$SEALED"
exec unshare --root="$SEALED" --wd="$WORK" /setpriv --reuid="$USER_ID" --regid="$GROUP_ID" --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
"""


_LOOPBACK = """
import fcntl, socket, struct, sys
UP, SIOCSIFFLAGS = 0x41, 0x8914
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", UP))
print("up", flush=True)
sys.stdin.read()
"""


def sealed(
    command: list[str],
    image: Image,
    directory: Path,
    data: Path,
    *,
    network: "Network | None" = None,
    more: tuple[Path, ...] = (),
) -> list[str]:
    """The command as it is run in a sealed root, made anew below `directory`, with `data` as the folder of the store.

    `more`: other folders that it may read.

    The process that is started becomes the command: its pid, signals and exit code are the command's own.
    """
    need_namespaces()
    user, group = image.stage.user
    root = directory / "sealed"
    root.mkdir(exist_ok=True)
    data.mkdir(exist_ok=True)
    os.chown(data, user, group)
    python = image.tree / ".venv/bin/python"
    folders = [*(path for path in _LIBRARIES if Path(path).is_dir()), *_unless_library(Path(sys.base_prefix) / "lib")]
    folders += map(str, more)
    settings = {
        "SEALED": str(root),
        "FOLDERS": " ".join(map(shlex.quote, folders)),
        "FILES": " ".join([str(python.resolve()), *_linked(python, image.tree), *_DEVICES]),
        "WORK": image.stage.workdir,
        "TREE": str(image.tree),
        "DATA": str(data),
        "SETPRIV": str(Path(shutil.which("setpriv") or "").resolve()),
        "USER_ID": str(user),
        "GROUP_ID": str(group),
    }
    named = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    # What is made stays within the namespace, and ends with it.
    within = ["nsenter", f"--net=/proc/{network.pid}/ns/net"] if network else []
    return [*within, "unshare", "--mount", "--propagation", "private", "sh", "-c", named + MAKE, "sh", *command]


class Network(NamedTuple):
    """`pid`: of a process that lives in it."""

    pid: int


@contextmanager
def own_network() -> Iterator[Network]:
    """A network that has a loopback and nothing else."""
    need_namespaces()
    command = ["unshare", "--net", sys.executable, "-c", _LOOPBACK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"up\n"
            yield Network(holder.pid)
        finally:
            holder.stdin.close()


def _unless_library(path: Path) -> list[str]:
    return [] if str(path) in _LIBRARIES else [str(path)]


def _linked(path: Path, tree: Path) -> list[str]:
    """The names on the way from a virtual environment's Python to the real one, outside the tree."""
    names = []
    while path.is_symlink():
        path = (path.parent / path.readlink()).absolute()
        if path.is_symlink() and tree not in path.parents:
            names.append(str(path))
    return names
