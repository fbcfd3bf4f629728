"""`review-fetcher jobs`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Json, Tenant
from app.cli.screen import say, show_facts, show_json, show_table
from app.models.access import DEFAULT_TENANT
from app.models.job import JobStatus

if TYPE_CHECKING:
    from app.models.views import JobList, JobView, LocationList

application = typer.Typer(
    no_args_is_help=True, help="Jobs: those of the local store (DATABASE_URL), or of a running service (--server)."
)

ServerUrl = Annotated[
    str | None,
    typer.Option("--server", envvar="REVIEW_FETCHER_SERVER", help="Ask this service, e.g. http://127.0.0.1:8000."),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="REVIEW_FETCHER_API_KEY", help="API key for --server. Prefer the variable: others can read a command."
    ),
]
MOST_LOCATIONS = 100


@application.command("list")
def list_(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    server: ServerUrl = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    found = asyncio.run(_list(status, limit, tenant, server, api_key))
    if as_json:
        show_json(found)
    elif not found.jobs:
        say("There are no such jobs.")
    else:
        show_table(("job", "state", "created", "reviews", "locations", "calls"), [_row(job) for job in found.jobs])


@application.command()
def show(
    job_id: Annotated[str, typer.Argument(help="The job's id.")],
    tenant: Tenant = DEFAULT_TENANT,
    server: ServerUrl = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show one job: how far it is, what it waits for, why it stopped, and its first locations."""
    job, locations = asyncio.run(_show(job_id, tenant, server, api_key))
    if as_json:
        show_json(job)
        return
    show_facts(facts_of(job))
    if locations.locations:
        rows = [
            (item.location, item.title, item.state, item.fetched, item.totals.total) for item in locations.locations
        ]
        show_table(("location", "title", "state", "reviews", "on Google"), rows)


def facts_of(job: "JobView") -> list[tuple[str, object]]:
    """What a person wants to know of a job, in order."""
    progress = job.progress
    waiting = job.waiting and f"{job.waiting.reason} (until {job.waiting.until:%H:%M:%S} UTC)"
    return [
        ("job", job.job_id),
        ("state", job.status),
        ("", job.message),
        ("waiting for", waiting),
        ("error", job.error and f"{job.error.title}: {job.error.detail}"),
        ("created", job.created_at.isoformat(timespec="seconds")),
        ("finished", job.finished_at and job.finished_at.isoformat(timespec="seconds")),
        ("accounts", f"{progress.accounts.done} of {progress.accounts.found}"),
        ("locations", f"{progress.locations.done} of {progress.locations.found}{_unavailable(job)}"),
        ("reviews", f"{progress.reviews.fetched} of {progress.reviews.expected}"),
        ("duplicates dropped", progress.reviews.duplicates),
        ("calls", progress.calls),
        ("tasks", f"{progress.tasks.open} open, {progress.tasks.done} done, {progress.tasks.dead} dead"),
    ]


def _unavailable(job: "JobView") -> str:
    count = job.progress.locations.unavailable
    return f", {count} unavailable" if count else ""


def _row(job: "JobView") -> tuple[object, ...]:
    progress = job.progress
    locations = f"{progress.locations.done}/{progress.locations.found}"
    created = job.created_at.isoformat(sep=" ", timespec="seconds")
    return (job.job_id, job.status, created, progress.reviews.fetched, locations, progress.calls)


async def _list(
    status: JobStatus | None, limit: int, tenant: str, server: str | None, api_key: str | None
) -> "JobList":
    if server:
        from app.cli.remote import Service  # noqa: PLC0415 - aiohttp is slow to import

        async with Service(server, api_key) as service:
            return await service.jobs(status, limit)
    from app.cli.local import existing_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.results.progress import Progress  # noqa: PLC0415

    async with existing_store() as database:
        return await Progress(database).jobs(tenant, status, limit, None)


async def _show(job_id: str, tenant: str, server: str | None, api_key: str | None) -> "tuple[JobView, LocationList]":
    if server:
        from app.cli.remote import Service  # noqa: PLC0415 - aiohttp is slow to import

        async with Service(server, api_key) as service:
            return await service.job(job_id), await service.locations(job_id, MOST_LOCATIONS)
    from app.cli.local import existing_store  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.results.progress import Progress  # noqa: PLC0415

    async with existing_store() as database:
        progress = Progress(database)
        job = await progress.job(tenant, job_id)
        return job, await progress.locations(tenant, job_id, MOST_LOCATIONS, None)
