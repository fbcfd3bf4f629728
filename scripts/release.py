"""Make everything that a release consists of, in dist/review-fetcher-VERSION/, and prove that it works.

    review_fetcher-VERSION-py3-none-any.whl   the wheel; installed where nothing else is, it has run the demo
    review_fetcher-VERSION.tar.gz             the source distribution, which builds the same wheel
    review-fetcher-VERSION-image.tar.gz       what `docker build` needs, and nothing else
    review-fetcher-VERSION.tgz                the Helm chart
    review-fetcher-VERSION.cdx.json           the SBOM of the image, CycloneDX
    SHA256SUMS                                of all of these

The same commit gives the same bytes. Refused are changes that no commit has, a version that is none of a release, and
one that CHANGELOG.md does not tell of; --snapshot makes it all the same, to try it out. docs/releasing.md has the rest.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from releasing.artifacts import build_packages, package_chart, write_context, write_sbom
from releasing.proof import prove
from releasing.source import ReleaseError, Source, check_releasable, read_source

PROJECT = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"


def make(source: Source, directory: Path, repository: str) -> None:
    """All of it in this folder, which is empty. Raises ReleaseError."""
    name = f"review-fetcher-{source.version}"
    _say("wheel and source distribution")
    wheel = build_packages(source, directory)
    _say("the wheel in an environment of its own")
    _say(f"  {prove(wheel, source)}")
    _say("image context")
    write_context(source, directory / f"{name}-image.tar.gz", repository)
    _say("Helm chart")
    package_chart(source, directory)
    _say("SBOM")
    write_sbom(source, directory / f"{name}.cdx.json")
    write_sums(directory)


def write_sums(directory: Path) -> None:
    """In the form that `sha256sum --check` reads."""
    files = sorted(path for path in directory.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (directory / SUMS).write_text("".join(lines))


def release(source: Source, out: Path, repository: str) -> Path:
    """The folder with the release. One of before stays until this one is whole."""
    target = out / f"review-fetcher-{source.version}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        make(source, made, repository)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return target


def main(words: Sequence[str]) -> int:
    options = _options(words)
    try:
        source = read_source(PROJECT)
        if not options.snapshot:
            check_releasable(source)
        target = release(source, options.out, options.repository)
        if read_source(PROJECT) != source:
            raise ReleaseError("the work tree is not what it was when this began: look at git status, and begin anew")
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    _say(f"\n{target}, of commit {source.revision}:")
    _say((target / SUMS).read_text().rstrip())
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshot", action="store_true", help="whatever the state of the work tree and its version")
    parser.add_argument("--repository", default="", help="where the source can be had, for the image's label")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist", help="the folder for it")
    return parser.parse_args(words)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
