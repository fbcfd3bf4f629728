"""The image, built by the lines of its Dockerfile, without Docker: what they put into its folder, and how it is run.

The base image is this machine: its Python and its libraries. No RUN can change it: for them all of it is read-only but
their own folder, `/tmp` and their caches.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from releasing.archives import read_archive
from releasing.artifacts import write_context
from releasing.source import read_source

from tests.support.dockerfile import Instruction, Stage, expand, read_dockerfile
from tests.support.machine import lacking

ROOT = Path(__file__).resolve().parents[2]
PATH_OF_BASE = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_OF_ANOTHER_PYTHON = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")

_ISOLATED = """
set -e
for cache in $CACHES; do mkdir -p "$cache"; mount --bind "$cache" "$cache"; done
mount -t tmpfs tmpfs "/${WORK%%/*}"
mkdir -p "/$WORK"
mount --bind "$TREE" "/$WORK"
mount -t tmpfs -o mode=1777 tmpfs /tmp  # last: the tree itself may be below /tmp
mount -o remount,bind,ro /
cd "/$WORK"
exec sh -c "$1"
"""


REPOSITORY = "https://example.com/review-fetcher"
"""Where the source can be had, as far as these tests are concerned."""


class Image(NamedTuple):
    """`tree`: the content of its WORKDIR, which is all that the Dockerfile adds to its base. `stage`: all else."""

    tree: Path
    stage: Stage


def image_of_this_source(directory: Path) -> Image:
    """Of the context that a release has, unpacked into a clean folder. Whoever comes second takes what is there."""
    need_namespaces()
    directory.mkdir(exist_ok=True)
    context, built = directory / "context", directory / "built"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "whole").exists():
            shutil.rmtree(built, ignore_errors=True)
            write_context(read_source(ROOT), directory / "context.tar.gz", REPOSITORY)
            for name, member in read_archive(directory / "context.tar.gz").items():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                (context / name).write_bytes(member.content)
            tree = build_image(context, built).tree
            (directory / "whole").write_text(str(tree))
        tree = Path((directory / "whole").read_text())
    return Image(tree, read_dockerfile(context / "Dockerfile", {}, PATH_OF_BASE)[-1])


def build_image(context: Path, directory: Path, **given: str) -> Image:
    """As `docker build --build-arg name=value … context` builds it, below `directory`.

    AssertionError with what it printed when a line fails. Skips where a namespace of mounts cannot be had.
    """
    need_namespaces()
    trees: dict[str, Path] = {}
    stages = read_dockerfile(context / "Dockerfile", given, PATH_OF_BASE)
    for number, stage in enumerate(stages):
        tree = trees[stage.name] = directory / f"stage-{number}"
        tree.mkdir(parents=True)
        for one in stage.instructions:
            if one.word == "COPY":
                _copy(one, trees[one.options["from"]] if "from" in one.options else context, stage, tree)
            elif one.word == "RUN":
                _run(one, stage, tree)
    return Image(tree, stages[-1])


def need_namespaces() -> None:
    missing = [name for name in ("unshare", "nsenter", "setpriv", "mount", "sh") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        lacking(f"this needs root and {', '.join(missing or ('unshare', 'mount'))}, to make a root as the image has it")


def _copy(one: Instruction, source: Path, stage: Stage, tree: Path) -> None:
    """From the context, or from another stage, where names are absolute."""
    *names, target = expand(one.rest, stage.arguments).split()
    for name in names:
        origin, place = source / name.removeprefix(stage.workdir).lstrip("/"), tree / target
        if origin.is_dir():
            shutil.copytree(origin, place, symlinks=True, dirs_exist_ok=True, copy_function=os.link)
        else:
            place = place / origin.name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, place)


def _run(one: Instruction, stage: Stage, tree: Path) -> None:
    surroundings = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_PYTHON}
    mounted = one.options.get("mount", "")
    caches = mounted.rpartition("target=")[2] if mounted.startswith("type=cache,") else ""
    settings = {"CACHES": caches, "WORK": stage.workdir.strip("/"), "TREE": str(tree)}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ISOLATED, "sh", one.rest],
        check=False,
        env=surroundings | stage.environment | stage.arguments | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"RUN {one.rest}\n{done.stdout}{done.stderr}"
