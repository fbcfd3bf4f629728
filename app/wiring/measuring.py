"""What a process knows of itself, for a scrape: its pools, what it leads, whether its loops live."""

from collections.abc import Iterator

from app.models.pools import Pool
from app.state import AppState
from app.telemetry.scraped import ProcessNumbers


def process_numbers(state: AppState) -> ProcessNumbers:
    """Read at each scrape: nothing here waits for anybody."""
    return ProcessNumbers(
        pools=dict(_pools(state)),
        leaders=dict(_leaders(state)),
        loops={loop.name: loop.healthy for loop in state.loops},
        unsent=dict(_unsent(state)),
    )


def _pools(state: AppState) -> Iterator[tuple[str, Pool]]:
    yield from state.database.pools().items()
    yield "google", state.google.pool()
    for worker in (state.account_worker, state.location_worker, state.review_worker):
        if worker.stage in state.settings.roles:
            yield f"worker_{worker.stage}", worker.pool()


def _leaders(state: AppState) -> Iterator[tuple[str, bool]]:
    """A process without the role does not lead, and says so: that nobody leads must be seen where nobody is left."""
    roles, leaders = state.settings.roles, state.leaders
    yield "scheduler", "scheduler" in roles and leaders.leads_scheduler()
    if leaders.publisher is not None:
        yield "publisher", "publisher" in roles and leaders.publisher.leading


def _unsent(state: AppState) -> Iterator[tuple[str, int]]:
    yield from state.broker.unsent().items()
    if state.publisher is not None:
        yield "reviews", state.publisher.unsent
