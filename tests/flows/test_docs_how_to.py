"""The quickstart and each how-to: every command as a reader types it, beside the service as the page starts it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from local_services.process import free_ports

from tests.support.transcripts import (
    PROJECT,
    SERVE,
    Shown,
    make_checkout,
    run_shown,
    running_server,
    shown_commands,
)

TOLD = {
    "docs/quickstart.md": {"jobs watch": (r"^state +completed", 1)},
    "docs/how-to/follow-a-job.md": {"/events": (r"^event: progress$", 1), "jobs cancel": (r"^state +cancelled", 1)},
    "docs/how-to/get-called-back.md": {"grep review_fetch.completed": (r"^review_fetch.completed [1-9]", 1)},
    "docs/how-to/keep-a-long-job-going.md": {"jobs watch": (r"^state +completed", 1)},
    "docs/how-to/take-the-reviews.md": {
        "read_table": (r"^[1-9]\d*$", 1),
        "wc -l": (r"^ *(?:[1-9]\d* new|0 newer)\.ndjson$", 2),
    },
    "docs/how-to/work-off-dead-letters.md": {
        "jobs watch $JOB || test": (r"^state +dlq", 1),
        "dlq causes": (r"^http_500 .* 3 ", 1),
        "dlq list": (r"^\d+ .*locations/\d+ +http_500 ", 3),
        "--dry-run": (r"^matched +3$", 1),
        "--yes": (r"^redriven +3$", 1),
    },
}
"""Page → part of a command → lines of its output, and how many: what the page promises and no exit code tells.

Of several such commands it is the first.
"""

DOCUMENTED_RECEIVER_PORT = "9000"
MOST_SECONDS_A_PAGE = 90.0


@pytest.mark.timeout(2 * MOST_SECONDS_A_PAGE)
@pytest.mark.parametrize("page", TOLD)
def test_every_command_of_a_how_to_does_what_it_says(page: str, tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    before, settings, after = _around_the_start(shown_commands(PROJECT / page))
    if before:
        run_shown(before, directory)
    with running_server(directory, settings) as server:
        printed = run_shown(_on_a_free_port(after), directory, server)
    for part, (pattern, times) in TOLD[page].items():
        told = next(text for one, text in zip(after, printed, strict=True) if part in one.command.text)
        assert len(re.findall(pattern, "\n".join(map(str.rstrip, told.splitlines())), re.MULTILINE)) == times, told


def _around_the_start(shown: list[Shown]) -> tuple[list[Shown], dict[str, str], list[Shown]]:
    """What stands before the command that starts the service, the settings that it is given, and what comes after."""
    (number,) = [number for number, one in enumerate(shown) if one.command.text.endswith(SERVE)]
    given = shown[number].command.text.removesuffix(SERVE)
    settings = dict(re.findall(r"([A-Z_]+)=(\S+)", given))
    assert "".join(f"{name}={value} " for name, value in settings.items()) == given
    return shown[:number], settings, shown[number + 1 :]


def _on_a_free_port(shown: list[Shown]) -> list[Shown]:
    """Readers have one receiver; here another program may have its port."""
    (port,) = map(str, free_ports(1))
    pattern = re.compile(rf"\b{DOCUMENTED_RECEIVER_PORT}\b")
    return [replace(one, command=replace(one.command, text=pattern.sub(port, one.command.text))) for one in shown]
