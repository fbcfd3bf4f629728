"""The wheel where nothing of the source is: installed by the lock's hashes alone, it shows the demo."""

import json
import sys
import tempfile
from pathlib import Path

from releasing.commands import UV, run, run_with
from releasing.source import ReleaseError, Source

DEMO_FILE = Path("data/demo/reviews.ndjson")


def prove(wheel: Path, source: Source) -> str:
    """What the demo said it wrote. Raises ReleaseError when the wheel does not install, or does not do its work."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        program = _installed(wheel, source, directory) / "bin" / "review-fetcher"
        alone = {"PATH": "/usr/bin:/bin", "HOME": scratch}
        said = run_with(alone, [program, "version"], directory).splitlines()[0]
        if said != f"review-fetcher {source.version}":
            raise ReleaseError(f"the installed program says that it is {said}, and is {source.version}")
        run_with(alone, [program, "demo"], directory)
        return f"{reviews_in(directory / DEMO_FILE):,} reviews by the installed wheel"


def _installed(wheel: Path, source: Source, directory: Path) -> Path:
    """An environment with what the lock has for the service, each by its hash, and then the wheel."""
    environment, requirements = directory / "environment", directory / "requirements.txt"
    export = ["export", "--locked", "--no-dev", "--no-emit-project", "--quiet"]
    run([UV, *export, f"--output-file={requirements}"], source)
    run([UV, "venv", "--quiet", f"--python={sys.executable}", environment], source)
    install: list[str | Path] = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        f"--python={environment / 'bin' / 'python'}",
    ]
    run([*install, "--require-hashes", f"--requirements={requirements}"], source)
    run([*install, "--no-index", wheel], source)
    return environment


def reviews_in(path: Path) -> int:
    """How many, each once. Raises ReleaseError for a file without any, or with one of them twice."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    different = {(line["location"], line["review_id"]) for line in lines}
    if not lines or len(different) != len(lines):
        raise ReleaseError(
            f"the demo of the installed wheel wrote {len(lines)} reviews, {len(different)} different ones"
        )
    return len(lines)
