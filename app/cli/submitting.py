"""`review-fetcher jobs submit` and `jobs token`: tokens on their way to the service."""

from typing import Annotated

import typer

from app.cli.backend import Where, ask
from app.cli.given import idempotency_key
from app.cli.options import ApiKey, JobId, Json, LocalTenant, Server
from app.cli.requests import Grant, Token, given_grant, given_token, token_request
from app.cli.screen import show_json, show_json_line, show_line
from app.cli.showing import show_job
from app.models.access import DEFAULT_TENANT


def token(
    job_id: JobId,
    *,
    given: Token = None,
    grant: Grant = None,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Give a job a new access token of the same Google user, or a grant, or both. One that waits goes on.

    It goes on at the page where it stopped. With a grant the service renews access tokens by itself.
    """
    from app.api.schemas import TokenReplacement  # noqa: PLC0415 - pydantic is slow to import

    where = Where(server, api_key, tenant)
    replacement = token_request(TokenReplacement, given_token(given), **given_grant(grant, given))
    job = ask(where, lambda backend: backend.replace_token(job_id, replacement))
    if as_json:
        show_json(job)
    else:
        show_job(job)


def submit(
    *,
    given: Token = None,
    grant: Grant = None,
    callback_url: Annotated[
        str | None,
        typer.Option(
            envvar="REVIEW_FETCHER_CALLBACK_URL",
            show_default=False,
            help="Where the end of the job is told. Its query may hold a secret: then prefer the variable.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            callback=idempotency_key,
            help="Given again within 24 hours with the same token, it gives the same job.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--watch", help="Follow the job as `jobs watch` does, and end like it.")
    ] = False,
    tenant: LocalTenant = DEFAULT_TENANT,
    server: Server = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Submit a job: fetch every review that a token can see. Prints the job's id once it is durable.

    The token is an access token, or a grant by which the service asks for access tokens as long as the job takes, or
    both.

    To the local store a job may be submitted with no service running: it is begun by the next one.
    """
    from app.api.schemas import ReviewFetchRequest  # noqa: PLC0415 - pydantic is slow to import

    where = Where(server, api_key, tenant)
    secrets = given_grant(grant, given)
    request = token_request(ReviewFetchRequest, given_token(given), callback_url=callback_url, **secrets)
    accepted = ask(where, lambda backend: backend.submit(request, key))
    if as_json:
        show_json_line(accepted.model_dump(mode="json"))
    else:
        show_line(accepted.job_id)
    if follow:
        from app.cli.watching import watch_job  # noqa: PLC0415 - rich's progress is slow to import

        raise typer.Exit(watch_job(where, accepted.job_id, as_json=as_json))
