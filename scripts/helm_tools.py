#!/usr/bin/env python3
"""Build Helm, in the version pinned here, and print the path of its program. Instant when it is there already.

It is compiled from the Go module proxy, whose checksums Go compares: about two minutes on two cores, once. Where the
machine has no Go that is new enough, Go itself comes from there first.

Exit codes: 0 done, 1 it failed, 3 not possible on this machine.
"""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / ".cache" / "helm"

HELM = "3.22.0"
KUBERNETES = (1, 37)
"""What Helm takes a chart to be rendered for when it asks no cluster."""

NEEDED_GO = (1, 26)
GO = "1.26.8"
GO_ZIP = f"golang.org/toolchain/@v/v0.0.1-go{GO}.linux-amd64.zip"
GO_SHA256 = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7"
INSTALL_GO = f"Go {NEEDED_GO[0]}.{NEEDED_GO[1]} or newer was not found, which builds Helm: https://go.dev/doc/install"


class ToolError(Exception):
    """What kept a tool from being built."""


class NotPossibleError(ToolError):
    """This machine lacks what it takes."""


def main() -> int:
    try:
        print(helm())
    except ToolError as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, NotPossibleError) else 1
    return 0


def helm() -> Path:
    """The program, built if it is not there."""
    program = CACHE / f"helm-{HELM}"
    if not program.exists():
        build(program)
    return program


def build(program: Path) -> None:
    """Under another name first: a build that is broken off leaves nothing that looks like one that ended."""
    CACHE.mkdir(parents=True, exist_ok=True)
    major, minor = KUBERNETES
    package = "helm.sh/helm/v3/pkg/chartutil"
    flags = f"-s -w -X {package}.k8sVersionMajor={major} -X {package}.k8sVersionMinor={minor}"
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        install = ["install", "-trimpath", "-ldflags", flags, f"helm.sh/helm/v3/cmd/helm@v{HELM}"]
        run_go(*install, GOBIN=scratch)
        (Path(scratch) / "helm").rename(program)


def module(path: str, version: str) -> Path:
    """The folder of a Go module's sources, downloaded if it is not there; Go compares its checksum."""
    told = run_go("mod", "download", "-json", f"{path}@{version}")
    return Path(json.loads(told)["Dir"])


def run_go(*arguments: str, **environment: str) -> str:
    """What Go printed. ToolError with what it complained of."""
    surroundings = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", **environment}
    done = subprocess.run(
        [find_go(), *arguments], check=False, capture_output=True, text=True, cwd=CACHE, env=surroundings
    )
    if done.returncode:
        raise ToolError(f"go {arguments[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def find_go() -> str:
    """The machine's, if it is new enough; else one that is kept here."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(own_go())):
        if candidate and Path(candidate).exists() and version_of(candidate) >= NEEDED_GO:
            return candidate
    return str(fetch_go())


def version_of(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], check=False, capture_output=True, text=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def own_go() -> Path:
    return CACHE / f"go-{GO}" / "bin" / "go"


def fetch_go() -> Path:
    """Go as the module proxy has it, for its own `GOTOOLCHAIN`: 72 MB, by the checksum above."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NotPossibleError(INSTALL_GO)
    proxy = os.environ.get("GOPROXY", "").partition(",")[0] or "https://proxy.golang.org"
    try:
        with urllib.request.urlopen(f"{proxy.rstrip('/')}/{GO_ZIP}", timeout=120) as response:  # noqa: S310 (https)
            content: bytes = response.read()
    except OSError as error:
        raise NotPossibleError(f"{INSTALL_GO} ({error})") from error
    if hashlib.sha256(content).hexdigest() != GO_SHA256:
        raise ToolError(f"{GO_ZIP} is not the file that is pinned")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        unpack(content, Path(scratch))
        (unpacked,) = Path(scratch).glob("golang.org/*")
        unpacked.rename(own_go().parents[1])
    return own_go()


def unpack(content: bytes, into: Path) -> None:
    """A zip of modules keeps no permissions: what has to be run is made so."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(into)
    for folder in ("bin", "pkg/tool"):
        for program in (path for path in into.glob(f"golang.org/*/{folder}/**/*") if path.is_file()):
            program.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
