"""Disturb many replicas on purpose and judge the promises from outside: `python -m chaos [--seed N] [--minutes M]`.

Starts a Kafka, a PostgreSQL, a simulated Google and the replicas, all its own and on loopback, submits jobs without
end, and lets one disturbance after the other happen. At the end it compares the store and a `read_committed` reader
with what exists upstream, and the calls with the ledger of the Google that was called. Exit codes: 0 every promise
was kept, 1 one was not (a disturbance that met nothing counts as not tested), 2 the run itself could not be done.
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from random import Random
from types import FrameType

from rich.console import Console

from chaos import mutations
from chaos.details import details
from chaos.rounds import KNOWN, OF_A_CLUSTER, by_seed, check, check_place, read_script
from chaos.run import Plan, place, run
from chaos.servers import ServiceError
from chaos.verdict import rows, table

KEPT, MISSED, NOT_DONE = 0, 1, 2


class MissedError(Exception):
    """A promise was not kept: the logs stay."""


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if options.mutations:
        return mutations.main()
    try:
        plan = plan_of(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return NOT_DONE
    signal.signal(signal.SIGTERM, leave)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        with place(tell) as directory:
            evidence = run(plan, directory, tell)
            found = rows(evidence)
            where = "a cluster, " if plan.cluster else ""
            title = f"{where}seed {plan.seed}, {plan.replicas} replicas, {(time.monotonic() - began) / 60:.1f} minutes"
            Console(width=100).print(table(found, title))
            for line in details(evidence):
                print(line)
            if any(row.kept is False for row in found):
                raise MissedError
    except MissedError:
        return MISSED
    except (AssertionError, ServiceError, TimeoutError) as error:
        print(f"The run could not be done: {error}", file=sys.stderr)
        return NOT_DONE
    return KEPT


def leave(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends everything that was started, as Ctrl-C does."""
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    about = argparse.ArgumentParser(
        prog="python -m chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    about.add_argument("--seed", type=int, default=1, help="which disturbances, when, and which jobs")
    about.add_argument("--minutes", type=float, help="go on for so long; without it, each disturbance once")
    about.add_argument("--replicas", type=int, default=3)
    about.add_argument("--jobs", type=int, default=6, help="unfinished at any time (default: %(default)s)")
    about.add_argument("--cluster", action="store_true", help="three brokers, and nginx in front of the replicas")
    chosen = about.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", metavar="NAME", help=f"of: {', '.join(KNOWN)}")
    chosen.add_argument("--script", type=Path, help="a file: each line a round, the names in it at the same time")
    chosen.add_argument("--mutations", action="store_true", help="break the service on purpose and expect red")
    return about


def plan_of(options: argparse.Namespace) -> Plan:
    """Raises ValueError with what is wrong."""
    seconds = 60.0 * (options.minutes or 0.0)
    if options.script:
        scripted = read_script(options.script)
        check_place([name for names in scripted for name in names], cluster=options.cluster)
        return Plan(options.seed, options.replicas, options.jobs, scripted, len(scripted), 0.0, options.cluster)
    names = options.only or [name for name in KNOWN if options.cluster or name not in OF_A_CLUSTER]
    check(names)
    check_place(names, cluster=options.cluster)
    endless = by_seed(Random(f"{options.seed} rounds"), names)
    return Plan(options.seed, options.replicas, options.jobs, endless, len(names), seconds, options.cluster)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
