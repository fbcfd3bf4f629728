"""`review-fetcher dlq`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.backend import Where, ask
from app.cli.exits import UsageError
from app.cli.options import LARGEST_ID, ApiKey, Cursor, Json, Limit, LocalTenant, Server
from app.cli.screen import say, say_cursor, show_facts, show_json, show_table
from app.models.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.models.views import DeadLetterView, RedriveRequest, RedriveResult

application = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: those of the local store (DATABASE_URL), or of a running service (--server).",
)

COLUMNS = ("id", "job", "stage", "resource", "cause", "attempts", "redrives", "given up")

Cause = Annotated[str | None, typer.Option(help="Only of this cause, as `dlq causes` shows it, e.g. http_503.")]
OfJob = Annotated[str | None, typer.Option("--job", help="Only of this job.")]
Stage = Annotated[str | None, typer.Option(help="Only of this stage: accounts, locations, reviews or review.")]


@application.command("list")
def list_(
    *,
    cause: Cause = None,
    job_id: OfJob = None,
    stage: Stage = None,
    parked: Annotated[
        bool | None,
        typer.Option("--parked/--not-parked", help="Only those redriven too often already; or only others."),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List work that was given up and not tried again since, newest first."""
    from app.models.views import filter_of  # noqa: PLC0415 - pydantic is slow to import

    which = filter_of(cause=cause, job_id=job_id, stage=stage)
    where = Where(server, api_key, tenant)
    found = ask(where, lambda backend: backend.dead_letters(which, limit, cursor, parked=parked))
    if as_json:
        show_json(found)
    elif not found.items:
        say("There are no such dead letters.")
    else:
        _show_letters(found.items)
        say_cursor(found.next_cursor)


@application.command()
def show(
    letter_id: Annotated[
        int, typer.Argument(min=1, max=LARGEST_ID, help="The dead letter's id, as `dlq list` shows it.")
    ],
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter: its error, its page, and how the same work was given up before."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.dead_letter(letter_id))
    if as_json:
        show_json(found)
        return
    show_facts(_facts_of(found))
    if found.earlier:
        say("The same work was given up before:")
        _show_letters(found.earlier)


@application.command()
def causes(
    *,
    job_id: OfJob = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Count dead letters by cause, the most frequent first."""
    found = ask(Where(server, api_key, tenant), lambda backend: backend.causes(job_id))
    if as_json:
        show_json(found)
    elif not found.causes:
        say("There are no such dead letters.")
    else:
        rows = [
            (item.cause, item.title, item.count, item.parked, f"{item.oldest:%F %T}", f"{item.newest:%F %T}")
            for item in found.causes
        ]
        show_table(("cause", "meaning", "letters", "parked", "oldest", "newest"), rows)


@application.command()
def redrive(
    *,
    cause: Cause = None,
    job_id: OfJob = None,
    stage: Stage = None,
    ids: Annotated[str | None, typer.Option(help="These, by their ids: 7,8,12.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    rate: Annotated[float | None, typer.Option(help="So many a second, one after another; else all at once.")] = None,
    include_parked: Annotated[
        bool, typer.Option("--include-parked", help="Also those that were redriven too often already.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what matches.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Try dead letters again: their jobs go on at the pages where they stopped.

    On a terminal it first says how many they are, and asks. Elsewhere it needs --yes or --dry-run.
    """
    where = Where(server, api_key, tenant)
    named = {"cause": cause, "job_id": job_id, "stage": stage}
    how: dict[str, object] = {"dry_run": dry_run, "rate": rate, "include_parked": include_parked}
    request = _request(named, ids, everything=everything, how=how)
    if not (yes or dry_run):
        _confirm(where, request)
    result = ask(where, lambda backend: backend.redrive(request))
    if as_json:
        show_json(result)
    else:
        show_facts(_counts(result, dry_run=dry_run))


def _request(
    named: dict[str, str | None], ids: str | None, *, everything: bool, how: dict[str, object]
) -> "RedriveRequest":
    """Raises UsageError."""
    from pydantic import ValidationError  # noqa: PLC0415 - slow to import

    from app.models.views import RedriveRequest, filter_of  # noqa: PLC0415

    which = filter_of(**named)
    if sum((which is not None, ids is not None, everything)) != 1:
        raise UsageError("say which: --ids, or --cause, --job and --stage, or --all")
    numbers = None if ids is None else ids.split(",")
    try:
        return RedriveRequest.model_validate({"ids": numbers, "filter": which, "all": everything or None, **how})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if first["loc"][0] == "ids":
            raise UsageError("--ids: up to 1000 ids as `dlq list` shows them, e.g. 7,8,12") from None
        raise UsageError(f"--{first['loc'][0]}: {first['msg']}") from None


def _confirm(where: Where, request: "RedriveRequest") -> None:
    """Raises UsageError where nobody can be asked, and ends the command when the answer is no."""
    if not sys.stdin.isatty():
        raise UsageError("add --yes to redrive, or --dry-run to see how many it would be")
    counted = request.model_copy(update={"dry_run": True})
    result = ask(where, lambda backend: backend.redrive(counted))
    number = result.matched - (0 if request.include_parked else result.parked)
    if not number:
        parked = f" {result.parked:,} are parked: --include-parked redrives them." if result.parked else ""
        say(f"There are no such dead letters.{parked}")
        raise typer.Exit
    typer.confirm(f"Redrive {number:,} dead letters?", abort=True, err=True)


def _counts(result: "RedriveResult", *, dry_run: bool) -> list[tuple[str, object]]:
    parked = result.parked or None
    return [("matched", result.matched), ("redriven", None if dry_run else result.redriven), ("parked", parked)]


def _facts_of(letter: "DeadLetterView") -> list[tuple[str, object]]:
    """What a person wants to know of a dead letter, in order."""
    redriven = letter.redriven_at and f"{letter.redriven_at:%F %T}"
    return [
        ("id", letter.id),
        ("job", letter.job_id),
        ("stage", letter.stage),
        ("resource", letter.resource),
        ("cause", letter.cause),
        ("", letter.detail),
        ("attempts", letter.attempts),
        ("page", letter.cursor),
        ("given up", f"{letter.created_at:%F %T}"),
        ("redrives", f"{letter.redrives}, parked" if letter.parked else letter.redrives),
        ("redriven", redriven),
    ]


def _show_letters(letters: "Sequence[DeadLetterView]") -> None:
    rows = [
        (
            letter.id,
            letter.job_id,
            letter.stage,
            letter.resource,
            letter.cause,
            letter.attempts,
            f"{letter.redrives}, parked" if letter.parked else letter.redrives,
            f"{letter.created_at:%F %T}",
        )
        for letter in letters
    ]
    show_table(COLUMNS, rows)
