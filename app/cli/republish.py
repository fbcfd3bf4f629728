"""`review-fetcher republish`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import CommandError, UsageError
from app.cli.screen import say, show_facts

if TYPE_CHECKING:
    from app.store.republish import PublishedSoFar


def republish(
    *,
    from_here: Annotated[
        bool, typer.Option("--from-here", help="Accept the topic as it is and send what was not sent yet.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="Accept the topic as it is and send every stored review to it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what would be done.")] = False,
) -> None:
    """Decide what reviews-raw gets when it is not the topic that was published to, or the store came from a backup.

    The publisher stops by itself in such a case and says so; within seconds after the decision it goes on, without a
    restart. `--from-here` loses nothing; after a restored backup, reviews that were sent since the backup and are
    fetched again are sent again. `--everything` also sends what the store got before there was a Kafka; readers of
    a topic that still has reviews get those a second time, with the same message_id. Without an option: how far
    publishing has come.
    """
    if from_here and everything:
        raise UsageError("--from-here and --everything exclude each other")
    asyncio.run(_republish(from_here=from_here, everything=everything, yes=yes))


async def _republish(*, from_here: bool, everything: bool, yes: bool) -> None:
    from app.cli.local import existing_store, user_of_this_machine  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.config import get_settings  # noqa: PLC0415
    from app.store.republish import announce_everything, go_on_from_here, published_so_far  # noqa: PLC0415

    if get_settings().mock_kafka:
        raise CommandError("there is no Kafka here (KAFKA_BOOTSTRAP_SERVERS): reviews-raw is the feed of the API")
    async with existing_store() as store:
        known = await store.read(published_so_far)
        _show(known)
        if not (from_here or everything):
            return
        if not yes:
            say(_plan(known, everything=everything))
            return
        decide = announce_everything if everything else go_on_from_here
        await decide(store, user_of_this_machine())
    say("Done. The publisher goes on within seconds.")


def _show(known: "PublishedSoFar") -> None:
    facts = [
        ("reviews stored", f"{known.reviews:,}"),
        ("reviews not sent", f"{known.waiting.reviews:,}"),
        ("oldest not sent", f"{known.waiting.seconds:,.0f} s"),
        ("last position", f"{known.position:,}, published {known.published:,}"),
    ]
    show_facts(facts)


def _plan(known: "PublishedSoFar", *, everything: bool) -> str:
    number = known.reviews if everything else known.waiting.reviews
    what = "all stored reviews" if everything else "the reviews that were not sent yet"
    return f"This would accept the topic as it is and send {what} to it: {number:,}. Add --yes to do it."
