"""The image, built by the lines of its Dockerfile, without Docker: what they put into its folder, and how it is run.

The base image is this machine: its Python and its libraries. No RUN can change it: for them all of it is read-only but
their own folder, `/tmp` and their caches.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.dockerfile import Instruction, Stage, expand, read_dockerfile

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


class Image(NamedTuple):
    """`tree`: the content of its WORKDIR, which is all that the Dockerfile adds to its base. `stage`: all else."""

    tree: Path
    stage: Stage


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
        why = f"this needs root and {', '.join(missing or ('unshare', 'mount'))}, to make a root as the image has it"
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)(why)


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
