"""`review-fetcher simulate`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.cli.exits import CommandError, UsageError
from app.cli.options import Accounts, FaultChoice, Locations, Reviews, Seed
from app.cli.screen import say
from app.simulator import Catalogue, Faults
from app.simulator.faults import Latency, Quota

PRESETS = ("good", "flaky")


def simulate(
    *,
    accounts: Accounts = 2,
    locations: Locations = 10,
    reviews: Reviews = 100,
    seed: Seed = 1,
    faults: FaultChoice = "good",
    per_minute: Annotated[
        int, typer.Option(min=0, help="Calls to each API that are answered in 60 seconds; beyond, 429. 0 = no limit.")
    ] = 0,
    latency_ms: Annotated[int, typer.Option(min=0, max=60_000, help="Milliseconds before each answer.")] = 0,
    unverified: Annotated[float, typer.Option(min=0, max=1, help="Share of locations without verification.")] = 0.0,
    shared_locations: Annotated[int, typer.Option(min=0, help="Locations that all accounts list.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 = a free one.")] = 9100,
) -> None:
    """Run the simulated Google alone, until Ctrl-C.

    It answers like Google's three APIs for any access token that does not begin with "invalid". Calls it got are at
    /_sim/ledger, faults can be changed at /_sim/faults.
    """
    from app.simulator.server_main import run_simulator  # noqa: PLC0415 - an HTTP server is slow to import

    catalogue = Catalogue(
        seed=seed,
        accounts=accounts,
        locations=locations,
        reviews=reviews,
        unverified=unverified,
        shared_locations=shared_locations,
    )
    wrong = chosen_faults(faults, seed, per_minute=per_minute, latency_ms=latency_ms)
    try:
        run_simulator(catalogue, wrong, host, port, _announce)
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --port") from error


def chosen_faults(choice: str, seed: int, *, per_minute: int = 0, latency_ms: int = 0) -> Faults:
    """A preset or the faults of a file, with a hard quota and a latency added. Raises UsageError."""
    faults = Faults.preset(choice, seed) if choice in PRESETS else _faults_of_file(Path(choice))
    if per_minute:
        quota = Quota(accounts=per_minute, locations=per_minute, reviews=per_minute)
        faults = msgspec.structs.replace(faults, quota=quota)
    if latency_ms:
        faults = msgspec.structs.replace(faults, rules=(Latency(seconds=latency_ms / 1000), *faults.rules))
    return faults


def _faults_of_file(path: Path) -> Faults:
    try:
        return Faults.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--faults: {path} is neither good, flaky nor a file that can be read") from error
    except ValueError as error:
        raise UsageError(f"--faults: {path}: {error}") from error


def _announce(url: str) -> None:
    typer.echo(url)
    say(f"The simulated Google answers at {url}. In another terminal:")
    say(f"  GOOGLE_API_BASE_URL={url} review-fetcher serve")
    say("Ctrl-C ends it.")
