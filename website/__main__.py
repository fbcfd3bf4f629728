"""`python -m website` builds the site into `site/`, or into the folder that is named; a second one is the project."""

import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as build_documents

from website.copies import write_copies
from website.navigation import NavigationError
from website.output import OutputError, make_empty

PROJECT = Path(__file__).resolve().parents[1]
CONFIGURATION = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """0, or Sphinx's status when it warned of anything, or 1 when it did not begin: the error says why."""
    output = Path(arguments[0]) if arguments else PROJECT / "site"
    project = Path(arguments[1]) if arguments[1:] else PROJECT
    try:
        status = build(project, output)
    except (NavigationError, OutputError) as error:
        print(error, file=sys.stderr)
        return 1
    if status == 0:
        print(f"The site is built: {output / 'index.html'}")
    return status


def build(project: Path, output: Path) -> int:
    """Sphinx's exit status. What an earlier build left in `output` is gone."""
    with tempfile.TemporaryDirectory(prefix="review-fetcher-site-") as scratch:
        copies = Path(scratch) / "pages"
        write_copies(project, copies)
        make_empty(output, project)
        strict = ["--fail-on-warning", "--nitpicky", "--quiet", "--jobs=auto"]
        folders = ["-c", str(CONFIGURATION), "-d", str(Path(scratch) / "doctrees"), str(copies), str(output)]
        return build_documents([*strict, "-b", "html", *folders])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
