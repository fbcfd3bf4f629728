"""`review-fetcher demo`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.files import format_of
from app.cli.options import Accounts, FaultChoice, Locations, Reviews, Seed


def demo(
    *,
    accounts: Accounts = 2,
    locations: Locations = 6,
    reviews: Reviews = 250,
    seed: Seed = 1,
    faults: FaultChoice = "good",
    per_second: Annotated[
        int, typer.Option(min=0, max=100_000, help="Calls a second that the service allows itself. 0 = no limit.")
    ] = 40,
    out: Annotated[Path, typer.Option(help="The file to write: x.ndjson or x.csv.")] = Path("data/demo/reviews.ndjson"),
) -> None:
    """Show the whole thing: start the service and a simulated Google, POST a token, follow the job, get the reviews.

    The service really runs, on a free port, with a store that is thrown away at the end; only the file stays.
    """
    from app.cli.demonstrating import Demo, run_demo  # noqa: PLC0415 - the whole service is slow to import
    from app.cli.faults import chosen_faults  # noqa: PLC0415
    from app.config import SimulatorConfig  # noqa: PLC0415

    form = format_of(out)
    chosen_faults(faults, seed)  # told by its option, before anything is started
    world = SimulatorConfig(accounts=accounts, locations=locations, reviews=reviews, seed=seed, faults=faults)
    raise typer.Exit(asyncio.run(run_demo(Demo(world, per_second, out, form))))
