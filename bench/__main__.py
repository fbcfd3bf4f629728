"""The table: `python -m bench [--quick]`. Compare within one run only: machines differ, and so do their moods."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.measure import Measured, last_line
from bench.servers import located
from tests.support.simulator import control, simulator_process


@dataclass(frozen=True, slots=True)
class Workload:
    """Accounts × locations of each × reviews of each."""

    accounts: int
    locations: int
    reviews: int

    @property
    def name(self) -> str:
        return f"{self.accounts} × {self.locations:,} × {self.reviews:,}"

    @property
    def total(self) -> int:
        return self.accounts * self.locations * self.reviews


WORKLOADS = (Workload(1, 100, 1000), Workload(2, 500, 100), Workload(1, 2000, 5))
QUICK = (Workload(1, 20, 250),)

PROGRAMS = {
    "the service": ("bench.ours",),
    "(a) the guide's loop": ("bench.guide_loop",),
    "(b) pages dropped": ("bench.ceiling",),
    "(b) + bare insert": ("bench.ceiling", "store"),
}
SLOWEST = "(a) the guide's loop"

ON_SERVERS = {
    "the service on PostgreSQL + Kafka": ("bench.ours_on_servers",),
    "(c) the guide's loop, row + message": ("bench.guide_loop", "servers"),
    "(d) the guide's loop, message only": ("bench.guide_loop", "kafka"),
}
SLOWEST_ON_SERVERS = "(c) the guide's loop, row + message"
"""Both share the machine with the servers. The service ends when a reader of reviews-raw has everything."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small workload")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    for workload in QUICK if options.quick else WORKLOADS:
        console.print(measure_all(workload, options.rounds, PROGRAMS, SLOWEST))
        if located():
            console.print(measure_all(workload, options.rounds, ON_SERVERS, SLOWEST_ON_SERVERS))
    if not located():
        console.print("PostgreSQL and Kafka do not run here: `make services` starts them, for the second table.")


def measure_all(workload: Workload, rounds: int, programs: Mapping[str, tuple[str, ...]], against: str) -> Table:
    """One table: the programs take turns, and the best round of each counts."""
    table = Table(title=f"{workload.name} = {workload.total:,} reviews")
    for column in ("program", "wall s", "reviews/s", f"× {against[:3]}", "CPU ms per 1,000", "peak RSS MB", "calls"):
        table.add_column(column, justify="left" if column == "program" else "right")
    best: dict[str, tuple[Measured, int]] = {}
    for _ in range(rounds):
        for name, program in programs.items():
            result = run(workload, program)
            if name not in best or result[0].wall < best[name][0].wall:
                best[name] = result
    slowest = rate(best[against][0])
    for name, (measured, calls) in best.items():
        table.add_row(*row(name, measured, calls, slowest))
    return table


def row(name: str, measured: Measured, calls: int, slowest: float) -> list[str]:
    return [
        name,
        f"{measured.wall:.2f}",
        f"{rate(measured):,.0f}",
        f"{rate(measured) / slowest:.1f}",
        f"{1000 * measured.cpu / (measured.reviews / 1000):.1f}",
        f"{measured.peak_rss_mb:.0f}",
        f"{calls:,}",
    ]


def rate(measured: Measured) -> float:
    return measured.reviews / measured.wall


def run(workload: Workload, program: tuple[str, ...]) -> tuple[Measured, int]:
    """One program over a fresh simulator, whose ledger says how many calls it made."""
    world = ("--accounts", str(workload.accounts), "--locations", str(workload.locations))
    with simulator_process(*world, "--reviews", str(workload.reviews)) as url, tempfile.TemporaryDirectory() as scratch:
        start(url, scratch, "bench.ceiling")  # a pass for the simulator, which keeps the pages it has made
        control(url, "DELETE", "ledger")
        measured = start(
            url, scratch, *program, *((str(workload.total),) if program[0] == "bench.ours_on_servers" else ())
        )
        if measured.reviews != workload.total:
            raise SystemExit(f"{program[0]} read {measured.reviews:,} reviews, not {workload.total:,}")
        return measured, int(control(url, "GET", "ledger/summary")["calls"])


def start(url: str, scratch: str, module: str, *arguments: str) -> Measured:
    """One program in a process of its own, to its end."""
    command = [sys.executable, "-m", module, url, scratch, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{module} failed:\n{finished.stderr[-2000:]}")
    return last_line(finished.stdout)


if __name__ == "__main__":
    main()
