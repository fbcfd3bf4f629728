"""What the page about the command line tells to type does what it says."""

import csv
import json
from pathlib import Path

from tests.support.transcripts import PROJECT, make_checkout, run_shown, running_server, typed_beside

PAGE = PROJECT / "docs/cli.md"


def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    typed = typed_beside(PAGE)
    with running_server(directory) as server:
        printed = run_shown(typed, directory, server)
    outputs = dict(zip((shown.command.text for shown in typed), printed, strict=True))
    submitted = next(output for text, output in outputs.items() if "jobs submit" in text)
    assert "2000 of 2000" in submitted
    events = [json.loads(line) for line in (directory / "events.ndjson").read_text().splitlines()]
    assert events[-1]["event"] == "done"
    for name in ("reviews.ndjson", "new.ndjson"):
        lines = [json.loads(line) for line in (directory / name).read_text().splitlines()]
        assert len({(line["location"], line["review_id"]) for line in lines}) == len(lines) == 2000
    with (directory / "reviews.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2000
    assert len((directory / "first.ndjson").read_text().splitlines()) == 1
    assert (directory / "cursor.txt").read_text().strip()
