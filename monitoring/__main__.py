"""`python -m monitoring` writes rules and dashboards into `deploy/monitoring`; `--check` says whether they are so."""

import argparse
import json
import sys
from pathlib import Path

from monitoring.overview import OVERVIEW
from monitoring.pipeline import PIPELINE
from monitoring.quota import QUOTA
from monitoring.replicas import REPLICAS
from monitoring.rules import RUNBOOKS, rules_file

DIRECTORY = Path(__file__).resolve().parents[1] / "deploy" / "monitoring"

DASHBOARDS = (OVERVIEW, PIPELINE, QUOTA, REPLICAS)


def files(runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Path below the directory → content."""
    made = {"rules/review-fetcher.yml": rules_file(runbooks)}
    for dashboard in DASHBOARDS:
        made[f"dashboards/{dashboard.uid}.json"] = json.dumps(dashboard.as_json(), indent=2) + "\n"
    return made


def main() -> int:
    """0 when all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not as made")
    parser.add_argument("--into", type=Path, default=DIRECTORY, help="the folder to write into")
    parser.add_argument("--runbooks", default=RUNBOOKS, metavar="URL", help="the page that alerts link to")
    options = parser.parse_args()
    made = files(options.runbooks)
    if options.check:
        return _compare(made, options.into)
    for name, text in made.items():
        path = options.into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _compare(made: dict[str, str], directory: Path) -> int:
    paths = {path: path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    found = {name: path.read_text(encoding="utf-8") for path, name in paths.items()}
    wrong = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
    for name in wrong:
        sys.stderr.write(f"{directory / name} is not as made: run `python -m monitoring`\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
