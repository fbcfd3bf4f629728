"""What the README tells a reader to type does what it says."""

import json
import re
from pathlib import Path

from app.models.views import JobView
from tests.support.markdown import Command, read_blocks
from tests.support.transcripts import (
    PROJECT,
    SERVE,
    make_checkout,
    run_commands,
    run_shown,
    running_server,
    shown_commands,
    typed_beside,
)

README = PROJECT / "README.md"


def test_the_examples_of_the_readme_fetch_every_review(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    assert SERVE in [shown.command.text for shown in shown_commands(README)]
    with running_server(directory) as server:
        run_shown(typed_beside(README), directory, server)
    lines = [json.loads(line) for line in (directory / "reviews.ndjson").read_text().splitlines()]
    assert len({(line["location"], line["review_id"]) for line in lines}) == len(lines) == told_reviews()
    for name in ("reviews.csv", "fetched.csv"):
        assert (directory / name).read_text().startswith("job_id,account,location,review_id,")


def told_reviews() -> int:
    """How many reviews the job that the README shows has."""
    return int(told_job()["progress"]["reviews"]["fetched"])


def told_job() -> dict[str, dict[str, dict[str, int]]]:
    shown = next(block for block in read_blocks(README.read_text().splitlines(), "README") if block.language == "json")
    job: dict[str, dict[str, dict[str, int]]] = json.loads("\n".join(shown.lines))
    return job


def test_the_job_that_the_readme_shows_has_the_shape_of_a_job() -> None:
    job = told_job()
    assert JobView.model_validate(job).model_dump(mode="json", exclude_unset=True) == job


def test_the_demo_ends_as_the_readme_shows(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    printed = [line.rstrip() for line in run_commands([behind_make_demo()], directory)[0].splitlines()]
    facts = [
        line for line in shown_demo() if re.match(r"(state|accounts|locations|reviews|duplicates|tasks|file) ", line)
    ]
    assert len(facts) == 7
    assert [line for line in facts if line not in printed] == []
    written = (directory / "data/demo/reviews.ndjson").read_text().splitlines()
    assert f"reviews             {len(written)} of {len(written)}" in facts


def behind_make_demo() -> Command:
    recipe = re.search(r"^demo:.*\n\t@(.+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    return Command(recipe[1].replace("$(BIN)", ".venv/bin"), 1, "sh", None)


def shown_demo() -> list[str]:
    blocks = read_blocks(README.read_text().splitlines(), "README")
    return next(block.lines for block in blocks if "$ make demo" in block.lines)
