"""What others do to the service's topics and consumer groups while it works."""

from collections.abc import Iterator

from chaos.arena import Arena, Case, Disturbance, reached
from chaos.strangers import Copier, ForeignMember, Stranger, forged, poison, send

CROWDED_SECONDS = 15.0
READY_SECONDS = 20.0


def rebalances(arena: Arena, case: Case) -> Iterator[float]:
    """A foreign member joins and leaves every group every few seconds."""
    yield from _crowd(case, ForeignMember(arena.servers), "partitions taken away")


def duplicates(arena: Arena, case: Case) -> Iterator[float]:
    """Every work message comes twice."""
    yield from _crowd(case, Copier(arena.servers), "messages copied")


def poisoned(arena: Arena, case: Case) -> Iterator[float]:
    """Messages that are no work, on every topic of work; and well-formed ones that name others' tasks."""
    messages = list(poison(int(case.began * 1000)))
    for topic in ("fetch-accounts", "fetch-locations", "fetch-reviews"):
        marked = [(f"{key}-{topic}", value) for key, value in messages]
        send(arena.servers, topic, marked)
        arena.poison += [key for key, _ in marked]
    job = next(iter(arena.store.jobs()), "none")
    forgeries = list(forged(job, arena.store.held()))
    send(arena.servers, "fetch-reviews", [("forged", value) for value in forgeries])
    case.reached = True
    case.told = f"{3 * len(messages)} messages, {len(forgeries)} forged"
    yield 0.0


def _crowd(case: Case, stranger: Stranger, what: str) -> Iterator[float]:
    stranger.start()
    try:
        stranger.ready.wait(READY_SECONDS)
        yield CROWDED_SECONDS
        reached(case, lambda: stranger.done)
    finally:
        stranger.end()
    case.told = f"{stranger.done} {what}"


CROWDING: dict[str, Disturbance] = {"rebalances": rebalances, "duplicates": duplicates, "poison": poisoned}
