"""Options that several commands share."""

from typing import Annotated

import typer

from app.cli.given import possible_id, usable_tenant
from app.cli.secret_options import told_in_public

LARGEST_ID = 2**63 - 1
"""Of a row: 64 bits in both databases."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Tenant = Annotated[str, typer.Option(callback=usable_tenant, help="Whose.")]
LocalTenant = Annotated[
    str,
    typer.Option("--tenant", callback=usable_tenant, help="Whose, in the local store; a server knows by the API key."),
]
Server = Annotated[
    str | None,
    typer.Option("--server", envvar="REVIEW_FETCHER_URL", help="Ask this service, e.g. http://127.0.0.1:8000."),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="REVIEW_FETCHER_API_KEY",
        callback=told_in_public,
        help="API key for --server. Prefer the variable: others can read a command.",
    ),
]
JobId = Annotated[str, typer.Argument(callback=possible_id, help="The job's id.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(help="Go on behind the page that told this cursor.")]
Accounts = Annotated[int, typer.Option(min=0, max=100_000, help="Accounts of the simulated merchant.")]
Locations = Annotated[int, typer.Option(min=0, max=100_000, help="Locations of each account.")]
Reviews = Annotated[int, typer.Option(min=0, max=10_000_000, help="Reviews of each location.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same world.")]
FaultChoice = Annotated[
    str, typer.Option("--faults", help="What goes wrong: good (nothing), flaky (a bad day), or a JSON file of faults.")
]
