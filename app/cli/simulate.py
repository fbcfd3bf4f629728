"""`review-fetcher simulate`."""

from typing import Annotated

import typer

from app.cli.exits import CommandError
from app.cli.given import possible_host
from app.cli.options import Accounts, FaultChoice, Locations, Reviews, Seed
from app.cli.screen import say


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
    host: Annotated[str, typer.Option(callback=possible_host, help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 = a free one.")] = 9100,
) -> None:
    """Run the simulated Google alone, until Ctrl-C.

    It answers like Google's three APIs for any access token that does not begin with "invalid". Calls it got are at
    /_sim/ledger, faults can be changed at /_sim/faults.
    """
    from app.cli.faults import chosen_faults  # noqa: PLC0415 - an HTTP server is slow to import
    from app.simulator import Catalogue  # noqa: PLC0415
    from app.simulator.server_main import run_simulator  # noqa: PLC0415

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
        raise CommandError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from error


def _announce(url: str) -> None:
    typer.echo(url)
    say(f"The simulated Google answers at {url}. In another terminal:")
    say(f"  GOOGLE_API_BASE_URL={url} review-fetcher serve")
    say("Ctrl-C ends it.")
