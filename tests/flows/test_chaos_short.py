"""A short run of the chaos program, so that it works whenever it is wanted, and so that the promises hold today."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.rounds import by_script
from tests.support.machine import program

pytestmark = pytest.mark.alone

PROJECT = Path(__file__).resolve().parents[2]

SCRIPT = """
duplicates kill-publisher
poison connections terminate
"""

ROWS = (
    "cases",
    "kills",
    "data lost",
    "data doubled",
    "jobs stuck",
    "calls wasted",
    "worst quota window",
    "recovery p50/p99",
    "reader stall",
    "SIGTERM to exit",
    "not tested",
)

SHARED_MACHINE = ("reader stall",)
"""A matter of a few seconds, which other tests on the same machine stretch: the long run alone judges it."""


ON_A_CLUSTER = """
broker-away kill-publisher
kill terminate
"""

CLUSTER_ROWS = ("work without a broker", "POSTs through the proxy", "longest without a 202", "POSTs refused")


def judged(tmp_path: Path, script: str, *arguments: str) -> dict[str, list[str]]:
    """The table of a run of this script: row → found, target, and whether it was kept."""
    rounds = tmp_path / "rounds.txt"
    rounds.write_text(script)
    finished = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", "7", *arguments, "--script", str(rounds)],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode in (0, 1), finished.stderr
    table = [line.strip("│ ").split("│") for line in finished.stdout.splitlines() if line.startswith("│")]
    found = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in table}
    assert set(ROWS) <= set(found), finished.stdout
    assert int(found["cases"][0]) == sum(map(len, by_script(script)))
    missed = [name for name, row in found.items() if row[-1] == "MISSED" and name not in SHARED_MACHINE]
    assert missed == [], finished.stdout
    return found


@pytest.mark.kafka
@pytest.mark.postgresql
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("postgresql_url", "kafka_bootstrap_servers")  # skipped where the machine has no servers
def test_a_short_run_reaches_what_it_plans_and_finds_every_promise_kept(tmp_path: Path) -> None:
    judged(tmp_path, SCRIPT, "--jobs", "2")


@pytest.mark.kafka
@pytest.mark.postgresql
@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("postgresql_url", "kafka_bootstrap_servers")
def test_on_a_cluster_work_goes_on_and_the_door_stays_open_without_a_broker(tmp_path: Path) -> None:
    program("nginx")
    found = judged(tmp_path, ON_A_CLUSTER, "--jobs", "4", "--cluster")
    assert [found[name][-1] for name in CLUSTER_ROWS] == ["kept"] * len(CLUSTER_ROWS)
