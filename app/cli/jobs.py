"""`review-fetcher jobs`."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.backend import Where, ask
from app.cli.options import LARGEST_ID, ApiKey, Cursor, JobId, Json, Limit, LocalTenant, Server
from app.cli.requests import chosen
from app.cli.screen import say, show_json
from app.cli.showing import show_accounts, show_job, show_jobs, show_locations, show_reconciliation, show_webhooks
from app.cli.submitting import submit, token
from app.models.access import DEFAULT_TENANT
from app.models.job import JobStatus, LocationState

if TYPE_CHECKING:
    from app.models.views import JobView

application = typer.Typer(
    no_args_is_help=True, help="Jobs: those of the local store (DATABASE_URL), or of a running service (--server)."
)

FIRST_LOCATIONS = 100


@application.command("list")
def list_(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.jobs(status, limit, cursor))
    if as_json:
        show_json(found)
    elif not found.jobs:
        say("There are no such jobs.")
    else:
        show_jobs(found)


@application.command()
def show(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show one job: how far it is, what it waits for, why it stopped, and its first locations."""
    from app.models.locations import ALL_LOCATIONS  # noqa: PLC0415 - pydantic is slow to import

    where = Where(server, api_key, tenant)
    job = ask(where, lambda backend: backend.job(job_id))
    if as_json:
        show_json(job)
        return
    show_job(job)
    found = ask(where, lambda backend: backend.locations(job_id, ALL_LOCATIONS, FIRST_LOCATIONS, None))
    if found.locations:
        show_locations(found.model_copy(update={"next_cursor": None}))
    if found.next_cursor:
        say(f"There are more locations: review-fetcher jobs locations {job_id}")


@application.command()
def accounts(
    job_id: JobId,
    *,
    limit: Limit = 100,
    cursor: Cursor = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List a job's accounts: how far the listing of each is, and what its locations come to."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.accounts(job_id, limit, cursor))
    if as_json:
        show_json(found)
    elif not found.accounts:
        say("There are no accounts yet.")
    else:
        show_accounts(found)


@application.command()
def locations(
    job_id: JobId,
    *,
    account: Annotated[str | None, typer.Option(help="Only those read under accounts/{id}.")] = None,
    state: Annotated[LocationState | None, typer.Option(help="Only those in this state.")] = None,
    gaps: Annotated[bool, typer.Option("--gaps", help="Only those of which not everything is there.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List a job's locations: what Google says of each, what was fetched, and why something is missing."""
    from app.models.locations import LocationFilter  # noqa: PLC0415 - pydantic is slow to import

    wanted = chosen(LocationFilter, account=account, state=state, gaps=gaps)
    found = ask(Where(server, api_key, tenant), lambda backend: backend.locations(job_id, wanted, limit, cursor))
    if as_json:
        show_json(found)
    elif not found.locations:
        say("There are no such locations.")
    else:
        show_locations(found)


@application.command()
def reconcile(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Compare what a job fetched with what Google counts, over all its locations."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.reconciliation(job_id))
    if as_json:
        show_json(found)
    else:
        show_reconciliation(found)


@application.command()
def watch(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line for each event.")] = False,
) -> None:
    """Follow a job until it has ended or needs a token; then show it.

    Progress goes to stderr. A connection that breaks is made again, and nothing is missed. Ctrl-C ends the watching,
    not the job.

    Exit codes: 0 completed · 3 failed · 4 ended with dead letters · 5 needs a token · 6 cancelled · 130 not watched any
    more.
    """
    from app.cli.watching import watch_job  # noqa: PLC0415 - rich's progress is slow to import

    raise typer.Exit(watch_job(Where(server, api_key, tenant), job_id, as_json=as_json))


@application.command()
def cancel(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """End a job. What it has fetched stays, and its token is wiped."""
    _show(ask(Where(server, api_key, tenant), lambda backend: backend.cancel(job_id)), as_json=as_json)


@application.command()
def pause(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Stop a job until it is resumed. Pages under way are still kept."""
    _show(ask(Where(server, api_key, tenant), lambda backend: backend.pause(job_id)), as_json=as_json)


@application.command()
def resume(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Let a paused job go on at the page where it stopped."""
    _show(ask(Where(server, api_key, tenant), lambda backend: backend.resume(job_id)), as_json=as_json)


@application.command()
def webhooks(
    job_id: JobId,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List the messages to a job's callback, newest first, and what came of them."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.webhooks(job_id))
    if as_json:
        show_json(found)
    elif not found.items:
        say("There are no messages: the job has no callback." if found.callback_url is None else "There are none yet.")
    else:
        show_webhooks(found.items)


@application.command()
def resend(
    job_id: JobId,
    webhook_id: Annotated[
        int, typer.Argument(min=1, max=LARGEST_ID, help="The message's id, as `jobs webhooks` shows it.")
    ],
    *,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Send a message to a job's callback once more, also one that was delivered."""
    sent = ask(Where(server, api_key, tenant), lambda backend: backend.resend(job_id, webhook_id))
    if as_json:
        show_json(sent)
    else:
        show_webhooks([sent])


application.command()(token)
application.command()(submit)


def _show(job: "JobView", *, as_json: bool) -> None:
    if as_json:
        show_json(job)
    else:
        show_job(job)
