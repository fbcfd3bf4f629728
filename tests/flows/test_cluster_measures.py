"""`python -m cluster soak` and `figures` measure a cluster of their own, judge it, and leave nothing."""

import csv
import re
from pathlib import Path

import pytest

from cluster.soak import OF_A_REPLICA, OF_ALL
from tests.flows.test_cluster import command

pytestmark = [pytest.mark.alone, pytest.mark.nightly, pytest.mark.timeout(900)]


def test_a_short_soak_finds_nothing_that_grows(tmp_path: Path) -> None:
    """Its minutes are few: what it shows is that the command works, and that nothing grows fast."""
    samples = tmp_path / "soak.csv"
    said = command("soak", "--minutes", "4", "--rate", "1000", "--out", str(samples)).stdout
    found = re.search(r"jobs accepted (\d+), refused 0", said)
    assert found is not None, said
    assert int(found[1]) > 60
    with samples.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) > 15
    of_replicas = {f"replica-{number}: {bound.name}" for number in (1, 2, 3) for bound in OF_A_REPLICA}
    assert rows[0].keys() == {"seconds"} | of_replicas | {bound.name for bound in OF_ALL}
    assert all(float(row["replica-1: resident memory"]) > 50 for row in rows)


def test_figures_tell_what_an_idle_cluster_costs() -> None:
    said = command("figures", "--seconds", "10").stdout
    for part in ("kafka-1", "postgresql", "replica-1", "replica-3", "nginx", "prometheus"):
        assert re.search(rf"{part}\D+\d", said), said
