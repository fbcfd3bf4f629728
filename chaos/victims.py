"""Which replica a disturbance hits."""

from chaos.arena import Arena
from chaos.fleet import Replica
from tests.support.service import eventually

LEADER_SECONDS = 15.0
BUSY_SECONDS = 10.0
LOOK_SECONDS = 0.1


def busy(arena: Arena) -> Replica | None:
    """Any that holds tasks; any at all when none does for long."""

    def look() -> Replica | None:
        running = arena.random.sample(arena.fleet.running, len(arena.fleet.running))
        return next((replica for replica in running if _holds_tasks(arena, replica)), None)

    try:
        return eventually(look, BUSY_SECONDS, "a replica with tasks", LOOK_SECONDS)
    except AssertionError:
        return next(iter(arena.fleet.running), None)


def _holds_tasks(arena: Arena, replica: Replica) -> bool:
    return bool(arena.store.eventually(lambda store: store.held(replica.service.pid)))


def leader(arena: Arena, name: str) -> Replica | None:
    """Who leads now; None when nobody does for long, so that the disturbance counts as not reached."""

    def look() -> Replica | None:
        return arena.fleet.named(arena.store.eventually(lambda store: store.leader(name)))

    try:
        return eventually(look, LEADER_SECONDS, f"a leader of {name}", LOOK_SECONDS)
    except AssertionError:
        return None
