"""A short run of the chaos program, so that it works whenever it is wanted, and so that the promises hold today."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.rounds import by_script

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


@pytest.mark.kafka
@pytest.mark.postgresql
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("postgresql_url", "kafka_bootstrap_servers")  # skipped where the machine has no servers
def test_a_short_run_reaches_what_it_plans_and_finds_every_promise_kept(tmp_path: Path) -> None:
    script = tmp_path / "short.txt"
    script.write_text(SCRIPT)
    finished = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", "7", "--jobs", "2", "--script", str(script)],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    table = [line.strip("│ ").split("│") for line in finished.stdout.splitlines() if line.startswith("│")]
    found = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in table}
    assert finished.returncode in (0, 1), finished.stderr
    assert set(ROWS) <= set(found), finished.stdout
    assert int(found["cases"][0]) == sum(map(len, by_script(SCRIPT)))
    missed = [name for name, row in found.items() if row[-1] == "MISSED" and name not in SHARED_MACHINE]
    assert missed == [], finished.stdout
