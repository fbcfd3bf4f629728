"""`make bench` works: each program reads every review, and the service is not slower than the plain loop."""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_the_table_has_a_row_for_each_program_and_the_service_is_ahead_of_the_plain_loop() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--rounds", "1"]
    finished = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, env={"COLUMNS": "120", "PATH": ""}
    )
    assert finished.returncode == 0, finished.stderr
    rates = {
        match[1].strip(): float(match[2].replace(",", ""))
        for match in re.finditer(r"^│ (.+?) │ +[\d.]+ │ +([\d,]+) │", finished.stdout, re.MULTILINE)
    }
    assert list(rates) == ["the service", "(a) the guide's loop", "(b) pages dropped", "(b) + bare insert"]
    assert rates["the service"] > rates["(a) the guide's loop"]
