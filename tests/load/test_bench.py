"""`make bench` works: each program reads every review, and the service is not slower than the plain loop."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

PROJECT = Path(__file__).resolve().parents[2]


ON_ONE_MACHINE = ["the service", "(a) the guide's loop", "(b) pages dropped", "(b) + bare insert"]
ON_SERVERS = [
    "the service on PostgreSQL + Kafka",
    "(c) the guide's loop, row + message",
    "(d) the guide's loop, message only",
]


def test_the_table_has_a_row_for_each_program_and_the_service_is_ahead_of_the_plain_loop() -> None:
    rates = _rates({})
    assert list(rates)[:4] == ON_ONE_MACHINE
    assert rates["the service"] > rates["(a) the guide's loop"]


@pytest.mark.postgresql
@pytest.mark.kafka
def test_the_table_for_the_servers_has_the_service_ahead_of_the_plain_loop(
    postgresql_url: str, kafka_bootstrap_servers: str
) -> None:
    rates = _rates({"DATABASE_URL": postgresql_url, "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap_servers})
    assert list(rates)[4:] == ON_SERVERS
    assert rates["the service on PostgreSQL + Kafka"] > rates["(c) the guide's loop, row + message"]


def _rates(servers: dict[str, str]) -> dict[str, float]:
    """Program → reviews a second, as the table shows it."""
    command = [sys.executable, "-m", "bench", "--quick", "--rounds", "1"]
    environment = {"COLUMNS": "120", "PATH": ""} | servers
    finished = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, env=environment)
    assert finished.returncode == 0, finished.stderr
    return {
        match[1].strip(): float(match[2].replace(",", ""))
        for match in re.finditer(r"^│ (.+?) │ +[\d.]+ │ +([\d,]+) │", finished.stdout, re.MULTILINE)
    }
