"""What docs/runbooks.md tells to type is run by somebody: here, or by the flow of its section."""

import re
from pathlib import Path

from tests.support.releases import MIGRATIONS
from tests.support.runbooks import follow, sections_of
from tests.support.service import ROOT, site
from tests.support.simulator import simulator_process
from tests.support.transcripts import make_checkout

PAGE = ROOT / "docs/runbooks.md"

ELSEWHERE = {
    "Back up PostgreSQL": "test_restore",
    "Restore PostgreSQL": "test_restore",
    "Back on the old database": "test_restore",
    "Decide what reviews-raw gets": "test_restore",
    "PostgreSQL fails over": "test_failover",
    "More partitions": "test_more_partitions",
    "A disk is full": "test_disk_full",
}
HERE = {"Upgrade": "revision", "Go back": "store", "Change the quota": "minute"}
"""Section → what one of its commands shows of a SQLite store."""


def test_every_section_with_commands_is_run() -> None:
    assert sections_of(PAGE).keys() == ELSEWHERE.keys() | HERE.keys()
    for heading, test in ELSEWHERE.items():
        text = Path(__file__).with_name(f"{test}.py").read_text()
        assert f'follow("{heading}"' in text


def test_the_page_says_with_which_code_the_tables_work() -> None:
    declared = [
        re.search(r'^works_with = "(\d{4})"', script.read_text(), re.MULTILINE)
        for script in (ROOT / MIGRATIONS).glob("[0-9]*.py")
    ]
    oldest = max(found[1] for found in declared if found)
    assert f"That is `{oldest}` until now" in PAGE.read_text()


def test_the_commands_of_a_section_show_what_they_say(tmp_path: Path) -> None:
    with simulator_process() as google, site(make_checkout(tmp_path), google) as place:
        service = place.start(RATELIMIT_PER_MINUTE="300")
        service.job_ended(service.submit("ya29.sim-accounts1-locations1-reviews5"))
        service.terminate()
        settings = place.settings | {"RATELIMIT_PER_MINUTE": "300"}
        for heading, shown in HERE.items():
            assert shown in "\n".join(follow(heading, tmp_path, settings)), heading
