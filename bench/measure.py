"""What a measured program says at its end: one JSON line."""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """Reviews walked, `wall` and `cpu` seconds (user and system), peak resident memory in MB."""

    reviews: int
    wall: float
    cpu: float
    peak_rss_mb: float


class Measure:
    """Begins when made; `end` prints the result to standard output."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def end(self, reviews: int) -> None:
        measured = Measured(reviews, time.perf_counter() - self._wall, time.process_time() - self._cpu, peak_rss_mb())
        sys.stdout.write(json.dumps(asdict(measured)) + "\n")


def peak_rss_mb() -> float:
    """Of this process, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def last_line(output: str) -> Measured:
    """The result in a program's standard output."""
    return Measured(**json.loads(output.strip().splitlines()[-1]))


def scratch(directory: str) -> Path:
    """A clean place for a database."""
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    return path


TOKEN = "ya29.bench-token"
