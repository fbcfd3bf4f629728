"""The background tasks: started by role, stopped in reverse."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import structlog

from app.leadership import Leadership
from app.lifecycle import Loop
from app.state import AppState
from app.telemetry.events import Event
from app.wiring.assembling import publish_until_fenced
from app.wiring.tracing import close_tracing

DRAIN_SECONDS = 15.0
"""For pages in flight at a stop."""

RENEW_SECONDS = 2.0
"""For an access token that is being renewed, at least: one that is cut off holds its job up until the lease for it runs
out, and loses a refresh token that Google gave in the place of another."""

STOP_SECONDS = 20.0
"""For all of a stop. Store and broker may be frozen: each has its own deadlines, and together they are too long. Slow
clients may take 3 s before: an orderly stop ends within 25 s."""

CUT_OFF_SECONDS = 1.0
"""For what is cut off to end."""

OPEN_REASON = (
    "there are no API keys: programs of this machine may do everything, others get 401. `review-fetcher keys create` "
    "makes one, and closes it"
)

Body = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


async def start_background_tasks(state: AppState) -> None:
    """Start the guide's loops: producer, retry, workers; and those that keep leases, topics and house.

    Raises `TopicLayoutError` when the topics are not as they are set to be.
    """
    if state.settings.mock_kafka:
        await state.retry_scheduler.begin()
    else:
        await state.topic_keeper.prepare()
    for name, body in _bodies(state):
        state.metrics.loop_began(name)
        loop = Loop(name, body, state.clock, restarted=state.metrics.loop_restarted)
        state.loops.append(loop)
        loop.start()
    if await state.services.authenticator.is_open():
        log.warning(Event.SERVICE_OPEN, reason=OPEN_REASON)
    log.info(Event.SERVICE_STARTED, google=state.google_base_url or "Google", roles=",".join(state.settings.roles))


def _bodies(state: AppState) -> Iterator[tuple[str, Body]]:
    roles = state.settings.roles
    workers: dict[str, tuple[str, Body]] = {
        "accounts": ("account_worker", state.account_worker.run),
        "locations": ("location_worker", state.location_worker.run),
        "reviews": ("review_worker", state.review_worker.run),
    }
    yield "event_loop", state.metrics.watch_event_loop
    yield "key_uses", state.key_uses.run
    if "api" in roles:
        yield "producer_loop", state.committer.run
    if "scheduler" in roles:
        scheduler = state.retry_scheduler
        yield "retry_loop", _led(state.leaders.scheduler, scheduler.run, lambda: scheduler.cut_off)
        yield "housekeeping", state.housekeeping.run
        yield "erasing", state.erasing.run
        yield "webhooks", state.webhook_sender.run
    yield from (loop for role, loop in workers.items() if role in roles)
    if set(workers) & set(roles):
        yield "leases", state.leases.run
        yield "activity", state.activity.run
    if (publisher := state.publisher) is not None:
        yield "topics", state.topic_keeper.run
        if "publisher" in roles:
            body = partial(publish_until_fenced, publisher)
            yield "publisher", _led(state.leaders.publisher, body, lambda: publisher.cut_off)


def _led(leadership: Leadership | None, body: Body, cut_off: Callable[[], bool]) -> Body:
    """Only while this process leads."""
    return body if leadership is None else partial(leadership.run, body, cut_off)


async def shutdown_background_tasks(state: AppState) -> None:
    """Stop in reverse: accept nothing more, finish the pages in flight, give back what is held, close. Idempotent.

    What has not ended by then is cut off: what it held is free when its lease runs out.
    """
    stopping = asyncio.ensure_future(_stop_everything(state))
    try:
        await asyncio.wait((stopping,), timeout=STOP_SECONDS)
    finally:
        if not stopping.done():
            log.warning(Event.SERVICE_CUT_OFF, seconds=STOP_SECONDS)
            stopping.cancel()
            await asyncio.wait((stopping,), timeout=CUT_OFF_SECONDS)
    if stopping.done() and not stopping.cancelled():
        stopping.result()
    log.info(Event.SERVICE_STOPPED)


async def _stop_everything(state: AppState) -> None:
    await state.committer.stop()
    await _stop_loops(state, "retry_loop", "housekeeping", "erasing", "topics")
    workers = (state.account_worker, state.location_worker, state.review_worker)
    drained_by = state.clock.monotonic() + DRAIN_SECONDS
    await asyncio.gather(*(worker.stop(DRAIN_SECONDS) for worker in workers))
    await state.refresher.close(max(RENEW_SECONDS, drained_by - state.clock.monotonic()))
    await _stop_loops(state, *(loop.name for loop in state.loops))
    await state.activity.close()
    await state.key_uses.close()
    await close_components(state)


async def _stop_loops(state: AppState, *names: str) -> None:
    ending = [loop for loop in state.loops if loop.name in names]
    await asyncio.gather(*(loop.stop() for loop in ending))
    for loop in ending:
        state.loops.remove(loop)


async def close_components(state: AppState) -> None:
    """Let go of what was opened. Idempotent. Store and broker may both be away: neither waits for the other."""
    await asyncio.gather(state.quota.close(), state.broker.close(), state.google.close())
    if state.signals is not None:
        await state.signals.close()
    if state.simulator is not None:
        await state.simulator.stop()
    await state.database.close()
    await close_tracing(state.tracer)
