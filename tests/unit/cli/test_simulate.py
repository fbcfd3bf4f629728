"""The simulator's options."""

from pathlib import Path

import pytest

from app.cli.exits import UsageError
from app.cli.faults import chosen_faults
from app.simulator import Faults
from app.simulator.faults import Latency, RateLimited


def test_presets_are_taken_by_name() -> None:
    assert chosen_faults("good", 1) == Faults.good()
    assert chosen_faults("flaky", 7) == Faults.flaky(7)


def test_a_quota_and_a_latency_are_added_to_what_was_chosen() -> None:
    faults = chosen_faults("flaky", 1, per_minute=5, latency_ms=250)
    assert faults.quota is not None
    assert (faults.quota.accounts, faults.quota.locations, faults.quota.reviews) == (5, 5, 5)
    assert faults.quota.seconds == 60
    assert faults.rules == (Latency(seconds=0.25), *Faults.flaky(1).rules)


def test_faults_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('{"rules": [{"fault": "rate_limited", "times": 2}]}')
    assert chosen_faults(str(file), 1).rules == (RateLimited(times=2),)


@pytest.mark.parametrize("content", ["{", '{"rules": [{"fault": "unheard of"}]}', '{"surprise": 1}'])
def test_a_file_that_makes_no_sense_is_told(content: str, tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"faults\.json"):
        chosen_faults(str(file), 1)
