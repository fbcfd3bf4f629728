"""`review-fetcher keys reseal` and `keys forget`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import CommandError, ExitCode
from app.cli.given import possible_id
from app.cli.options import Json
from app.cli.screen import say, show_json

if TYPE_CHECKING:
    from app.cli.sealing import Report


def reseal(as_json: Json = False) -> None:
    """Bring all that is sealed with an old key of TOKEN_SEALING_KEYS to the newest, while services go on.

    Access tokens, refresh tokens and callback URLs, a hundred in a transaction. Run it with the service's own keys,
    once every replica has the newest one in front. It may be broken off and begun again. Exit code 1 while an old key
    is still needed.
    """
    from app.cli.sealing import reseal_everything  # noqa: PLC0415 - most of the service is slow to import

    report = asyncio.run(reseal_everything())
    if as_json:
        show_json(report._asdict())
    else:
        _tell(report)
    raise typer.Exit(ExitCode.FAILED if report.still_used else ExitCode.OK)


def forget(
    key: Annotated[str, typer.Argument(callback=possible_id, help="The id of the lost key, as the service names it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what would be done.")] = False,
) -> None:
    """Give up what is sealed with a sealing key that is lost for good, so that the service starts without it.

    Jobs that had their tokens sealed with it ask for new ones and go on at the page they had reached. Messages to
    callbacks that were sealed with it fail.
    """
    from app.cli.sealing import forget as forget_key  # noqa: PLC0415 - most of the service is slow to import

    if not yes:
        raise CommandError(
            f"this would wipe every token, refresh token and callback URL that is sealed with {key}: add --yes to do it"
        )
    forgotten = asyncio.run(forget_key(key))
    say(f"Wiped the tokens of {forgotten.credentials:,} jobs, and {forgotten.callbacks:,} callback URLs.")


def _tell(report: "Report") -> None:
    say(f"Sealed with key {report.key}: the tokens of {report.credentials:,} jobs, {report.callbacks:,} callback URLs.")
    if report.unused:
        say(
            f"No longer used for these: {', '.join(report.unused)}. Take it out of TOKEN_SEALING_KEYS when receivers "
            "of webhooks have the new secret, a day after every replica had the new key in front: until then it "
            "compares repeated requests and reads sessions of the console."
        )
    if report.unopened:
        say(
            f"{report.unopened:,} do not open: their key is not here, or they were changed. They were left as they are."
        )
    if report.still_used:
        say(
            f"Still used: {', '.join(report.still_used)}. Has every replica {report.key} in front? Then run this again."
        )
