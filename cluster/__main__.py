"""The whole deployment on this machine, without containers: `python -m cluster up|status|down`.

Three Kafka brokers, PostgreSQL, a simulated Google, three replicas behind nginx, and Prometheus, as processes on
loopback. `up` returns when all of it is ready, and starts again what has died since; `down` ends exactly what was
started, and throws the data away. Exit codes: 0 done, 1 something did not start or end, 3 a program is not installed.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from cluster import figures, soak
from cluster.lifecycle import alone, down, status, up
from cluster.local import PROJECT, NotInstalledError, ServiceError
from cluster.telling import how_to_try, table

DONE, FAILED, NOT_INSTALLED = 0, 1, 3


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        return int(options.run(options))
    except NotInstalledError as error:
        say(str(error))
        return NOT_INSTALLED
    except (ServiceError, OSError) as error:
        say(f"The command failed: {error}")
        return FAILED


def parser() -> argparse.ArgumentParser:
    about = argparse.ArgumentParser(
        prog="python -m cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    place = argparse.ArgumentParser(add_help=False)
    where = "records and logs (default: %(default)s)"
    place.add_argument("--directory", type=Path, default=PROJECT / ".cluster", help=where)
    commands = about.add_subparsers(required=True, metavar="COMMAND")
    start = commands.add_parser("up", parents=[place], help="start what does not run, and say how to try it")
    start.add_argument("settings", nargs="*", type=setting, metavar="NAME=VALUE", help="settings of the replicas")
    start.set_defaults(run=run_up)
    commands.add_parser("status", parents=[place], help="what runs").set_defaults(run=run_status)
    commands.add_parser("down", parents=[place], help="end all of it").set_defaults(run=run_down)
    measure = commands.add_parser("figures", help="start to ready, and what an idle cluster costs; on one of its own")
    measure.add_argument("--seconds", type=float, default=60, help="to watch it (default: %(default)s)")
    measure.set_defaults(run=run_figures)
    long = commands.add_parser("soak", help="half load on a cluster of its own: what grows? Exit code 1: something did")
    long.add_argument("--minutes", type=float, default=30, help="default: %(default)s")
    long.add_argument("--rate", type=float, help="reviews a second to offer; without it, half of what is possible")
    long.add_argument("--out", type=Path, default=PROJECT / "build" / "soak.csv", help="default: %(default)s")
    long.set_defaults(run=run_soak)
    return about


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def run_up(options: argparse.Namespace) -> int:
    directory = options.directory.resolve()
    with alone(directory, say):
        plan = up(directory, dict(options.settings), say)
        print(table(status(directory)))
        print(how_to_try(plan))
    return DONE


def run_status(options: argparse.Namespace) -> int:
    directory = options.directory.resolve()
    with alone(directory, say):
        print(table(status(directory)))
    return DONE


def run_down(options: argparse.Namespace) -> int:
    directory = options.directory.resolve()
    with alone(directory, say):
        say("no cluster is here" if down(directory) is None else "ended")
    return DONE


def run_figures(options: argparse.Namespace) -> int:
    figures.run(options.seconds, say)
    return DONE


def run_soak(options: argparse.Namespace) -> int:
    return DONE if soak.run(options.minutes, options.rate, options.out, say) else FAILED


def leave(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends everything that was started, as Ctrl-C does."""
    raise KeyboardInterrupt


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
