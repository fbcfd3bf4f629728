"""`review-fetcher erase`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.backend import Where, ask
from app.cli.exits import UsageError
from app.cli.given import usable_tenant
from app.cli.options import LARGEST_ID, ApiKey, Cursor, JobId, Json, Limit, LocalTenant, Server
from app.cli.screen import say, say_cursor, show_facts, show_json, show_table
from app.models.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from app.models.erasure import ErasureRequest, ErasureResult, ErasureView

application = typer.Typer(no_args_is_help=True, help="Erase a tenant, a job, or the reviews of a reviewer.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be erased.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@application.command()
def tenant(
    name: Annotated[str, typer.Argument(callback=usable_tenant, help="The tenant, in the local store.")],
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Erase all of a tenant: its jobs, what they have fetched, its stored API keys and settings. Open jobs are
    cancelled."""
    counted = asyncio.run(_of_tenant(name, dry_run=True))
    if not dry_run:
        _confirm(counted, f"everything of the tenant {name}", yes=yes)
    _show(counted if dry_run else asyncio.run(_of_tenant(name, dry_run=False)), as_json=as_json)


async def _of_tenant(name: str, *, dry_run: bool) -> "ErasureResult":
    from app.cli.local import existing_store, user_of_this_machine  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.results.erasures import Erasures  # noqa: PLC0415

    async with existing_store() as database:
        erasures = Erasures(database)
        return await (erasures.count_tenant(name) if dry_run else erasures.of_tenant(name, user_of_this_machine()))


@application.command()
def job(
    job_id: JobId,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Erase a job that has ended, with all it has fetched. It is gone from sight at once."""
    from app.models.erasure import ErasureResult  # noqa: PLC0415 - pydantic is slow to import

    where = Where(server, api_key, tenant)
    found = ask(where, lambda backend: backend.job(job_id))
    counted = ErasureResult(jobs=1, reviews=found.progress.reviews.fetched)
    if not dry_run:
        _confirm(counted, f"the job {job_id}", yes=yes)
    _show(counted if dry_run else ask(where, lambda backend: backend.erase_job(job_id)), as_json=as_json)


@application.command()
def reviewer(
    name: Annotated[str | None, typer.Argument(help="The display name, exactly as Google has it.")] = None,
    *,
    review: Annotated[
        str | None, typer.Option(help="One review by its name instead: locations/1/reviews/2, or from accounts/ on.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Erase the reviews of a reviewer in all jobs. Google gives reviewers no id: by display name, or review by
    review."""
    where = Where(server, api_key, tenant)
    request = _request(name, review)
    count = request.model_copy(update={"dry_run": True})
    counted = ask(where, lambda backend: backend.erase_reviewer(count))
    if not dry_run:
        _confirm(counted, f"the reviews of {name}" if name else f"the review {review}", yes=yes)
    _show(counted if dry_run else ask(where, lambda backend: backend.erase_reviewer(request)), as_json=as_json)


@application.command("list")
def list_(
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List orders to erase, newest first."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.erasures(limit, cursor))
    if as_json:
        show_json(found)
    elif not found.items:
        say("Nothing was ordered to be erased.")
    else:
        rows = [[value for _, value in _facts(item)] for item in found.items]
        show_table([name for name, _ in _facts(found.items[0])], rows)
        say_cursor(found.next_cursor)


@application.command()
def show(
    erasure_id: Annotated[int, typer.Argument(min=1, max=LARGEST_ID, help="Its id, as `erase list` shows it.")],
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show how far an erasure is."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.erasure(erasure_id))
    if as_json:
        show_json(found)
    else:
        show_facts(_facts(found))


def _request(name: str | None, review: str | None) -> "ErasureRequest":
    """Raises UsageError."""
    from pydantic import ValidationError  # noqa: PLC0415 - slow to import

    from app.models.erasure import ErasureRequest  # noqa: PLC0415

    try:
        return ErasureRequest(reviewer=name, review=review)
    except ValidationError as error:
        told = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(told.replace("`reviewer` or `review`", "a display name or --review")) from None


def _confirm(counted: "ErasureResult", what: str, *, yes: bool) -> None:
    """Raises UsageError where nobody can be asked, and ends the command when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("add --yes to erase, or --dry-run to see how much it would be")
    many = f"{counted.reviews or 0:,} reviews in {counted.jobs or 0:,} jobs"
    typer.confirm(f"Erase {what} ({many})? This cannot be undone.", abort=True, err=True)


def _show(result: "ErasureResult", *, as_json: bool) -> None:
    if as_json:
        show_json(result)
    elif result.erasure is None:
        show_facts([("jobs", f"{result.jobs:,}"), ("reviews", f"{result.reviews:,}")])
    else:
        show_facts(_facts(result.erasure))
        say("It is carried out by the running service, or when one starts on this store.")


def _facts(item: "ErasureView") -> list[tuple[str, object]]:
    return [
        ("erasure", item.id),
        ("what", item.kind.value),
        ("of", item.subject or ""),
        ("status", item.status.value),
        ("ordered", f"{item.created_at:%F %T}"),
        ("finished", "" if item.finished_at is None else f"{item.finished_at:%F %T}"),
        ("jobs", item.jobs_erased),
        ("reviews", item.reviews_erased),
    ]
