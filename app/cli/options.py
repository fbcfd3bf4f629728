"""Options that several commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Tenant = Annotated[str, typer.Option(help="Whose.")]
Accounts = Annotated[int, typer.Option(min=0, max=100_000, help="Accounts of the simulated merchant.")]
Locations = Annotated[int, typer.Option(min=0, max=100_000, help="Locations of each account.")]
Reviews = Annotated[int, typer.Option(min=0, max=10_000_000, help="Reviews of each location.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same world.")]
FaultChoice = Annotated[
    str, typer.Option("--faults", help="What goes wrong: good (nothing), flaky (a bad day), or a JSON file of faults.")
]
