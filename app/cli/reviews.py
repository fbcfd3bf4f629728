"""`review-fetcher reviews`."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.backend import Where
from app.cli.exits import UsageError
from app.cli.files import is_there, refuse_folder
from app.cli.options import ApiKey, JobId, LocalTenant, Server
from app.cli.requests import chosen
from app.models.access import DEFAULT_TENANT

application = typer.Typer(
    no_args_is_help=True, help="Reviews: of the local store (DATABASE_URL), or of a running service (--server)."
)


Form = Literal["ndjson", "csv", "parquet", "json"]
FORMATS: dict[str, Form] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "json",
}

STDOUT = Path("-")


@application.command()
def export(
    job_id: JobId,
    *,
    out: Annotated[Path, typer.Option(help="The file to write; it appears when it is complete. - for stdout.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="Else by the name of the file; on stdout ndjson.")
    ] = None,
    location: Annotated[str | None, typer.Option(help="Only of this location, locations/{id}.")] = None,
    rating: Annotated[
        list[str] | None,
        typer.Option(help="Only with so many stars, 1 to 5, or without: none. May be given several times."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only written or changed since this date or time, e.g. 2026-01-31.")
    ] = None,
    has_reply: Annotated[
        bool | None, typer.Option("--has-reply/--no-reply", help="Only with a reply of the owner; or only without.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Only with this in the comment or the reply.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
) -> None:
    """Write the reviews that a job has into one file, also while it still runs.

    ndjson has an object a line, json the same as one array, csv a table without Google's own objects, parquet columns
    with them.
    """
    wanted_form = chosen_format(out, form)
    if out != STDOUT and is_there(out) and not force:
        raise UsageError(f"--out: {out} is there already: add --force to overwrite it")
    from app.cli.exporting import export_reviews  # noqa: PLC0415 - slow to import
    from app.models.review_filter import ReviewFilter  # noqa: PLC0415

    wanted = chosen(ReviewFilter, location=location, rating=rating, since=since, has_reply=has_reply, text=text)
    where = Where(server, api_key, tenant)
    asyncio.run(export_reviews(where, job_id, wanted_form, wanted, None if out == STDOUT else out))


@application.command()
def tail(
    *,
    after: Annotated[str | None, typer.Option(help="Go on behind this cursor.")] = None,
    cursor_file: Annotated[
        Path | None,
        typer.Option(help="Go on behind the cursor in this file, and keep it there after each page. Made if missing."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
) -> None:
    """Print the reviews of all jobs in the order in which they were stored, one JSON object a line.

    The cursor to go on with goes to stderr at the end, or into --cursor-file whenever lines have been written: a reader
    that dies in between gets some lines twice, and none never.
    """
    if after is not None and cursor_file is not None and is_there(cursor_file):
        raise UsageError(f"--after and {cursor_file} both say where to begin: remove one of them")
    from app.cli.tailing import Tail, follow_feed  # noqa: PLC0415 - slow to import

    raise typer.Exit(asyncio.run(follow_feed(Where(server, api_key, tenant), Tail(after, cursor_file, follow))))


def chosen_format(out: Path, form: Form | None) -> str:
    """What was chosen, else what the file's name means. Raises UsageError, CommandError."""
    if out != STDOUT:
        refuse_folder(out)
    if form or out == STDOUT:
        return form or "ndjson"
    named = FORMATS.get(out.suffix.lower())
    if named is None:
        raise UsageError(f"--out: {out.name} must end in .ndjson, .csv, .parquet or .json, or give --format")
    return named
