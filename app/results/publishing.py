"""One life of the publisher's producer: stamp, read, send, keep the position, clear away; again and again.

While Kafka commits one batch, the next is read. What is on its way is at most two batches.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from app.broker.base import BrokerUnavailableError
from app.broker.reach import Reach
from app.broker.transactions import FencedError, Reached, TransactionalProducer
from app.clock import Clock, until_set
from app.crash import CrashPoint, crash_point
from app.results.portion import Portion
from app.results.records import records
from app.results.spans import publish_spans
from app.store.clearing import note_published
from app.store.database import Database, StoreUnavailableError
from app.store.outbox import ROWS_A_READ, Batch, read_batch, stamp
from app.store.published import end_decision, go_on_after
from app.telemetry.events import Event

IDLE_SECONDS = 1.0
"""At least this often the store is asked, for what other processes settled; a wake-up is answered at once."""

GATHER_SECONDS = 0.2
"""After a batch that was not full: a transaction costs the broker about the same however much is in it."""

NOTE_SECONDS = 1.0
"""Between two copies of the position to the store. What was published since is not cleared away yet, that is all."""

NOTHING_NOTED = -1
"""At the start: the process before may have died with rows in the topic that it had not cleared away yet."""

CLEARED_ROWS = 5_000
"""Outbox rows that are cleared away at once; several times what a second can bring."""

LOOK_SECONDS = 10.0
"""Between two looks whether the topic is still the same one."""

REFRESH_SECONDS = 86_400.0
"""Kafka forgets the offset of a group without members after seven days."""

STOP_SECONDS = 5.0
"""How long a stop waits for the batch on its way, and then for the store to take the position."""

log = structlog.get_logger(__name__)


class Publishing:
    """`going_on` is told whenever the topic has all that was read so far. `idle`: seconds until the store is asked
    unwoken. `published` is told how many reviews arrived with each batch."""

    def __init__(
        self,
        database: Database,
        producer: TransactionalProducer,
        clock: Clock,
        *,
        woken: asyncio.Event,
        reach: Reach,
        portion: Portion,
        going_on: Callable[[], None],
        topic_prefix: str,
        idle: float = IDLE_SECONDS,
        published: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._producer = producer
        self._clock = clock
        self._woken = woken
        self._reach = reach
        self._portion = portion
        self._going_on = going_on
        self._prefix = topic_prefix
        self._idle = idle
        self._tell_published = published
        self._sending: asyncio.Task[None] | None = None
        self._stamped = 0
        self._sent = 0
        self._published = 0
        self._noted = 0
        self._noted_at = self._looked_at = self._refreshed_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled or something fails. What is on its way then arrives, or is found by the next start."""
        try:
            reached = await self._producer.start()
            self._reach.succeeded()
            await self._begin(reached)
            while True:
                more = await self._turn()
                await self._keep_up(reached)
                if not more:
                    await self._rest()
        finally:
            await self._finish()

    async def _begin(self, reached: Reached) -> None:
        position = await self._database.write(go_on_after, *reached)
        log.info(Event.PUBLISHER_STARTED, position=position)
        self._stamped = self._sent = self._published = position
        self._noted = NOTHING_NOTED
        if position != (reached.position or 0):
            await self._refresh()

    async def _turn(self) -> bool:
        """Read a batch while the one before is committed, then send it. Whether to go on without a rest."""
        self._woken.clear()
        stamped = await self._database.write(stamp, ROWS_A_READ, self._stamped)
        self._stamped = stamped.last
        crash_point(CrashPoint.POSITIONS_STAMPED)
        if stamped.last == self._sent:
            await self._arrived()
            self._going_on()
            return False
        batch = await self._database.read(read_batch, self._sent, self._portion.reviews, self._portion.bytes)
        await self._arrived()
        if batch is None:
            self._going_on()
            return False
        self._sent = batch.position
        self._sending = asyncio.create_task(self._send(batch))
        if batch.more or stamped.number == ROWS_A_READ:
            return True
        await self._arrived()
        self._going_on()
        return False

    async def _send(self, batch: Batch) -> None:
        try:
            with publish_spans(batch, self._prefix):
                await self._producer.send(records(batch, self._prefix), batch.position)
        except (BrokerUnavailableError, FencedError):
            self._portion.failed()
            raise
        self._portion.arrived()
        self._published = batch.position
        if self._tell_published is not None:
            self._tell_published(len(batch.reviews))

    async def _arrived(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                self._sending = sending
                raise

    async def _keep_up(self, reached: Reached) -> None:
        """What is to be done from time to time."""
        now = self._clock.monotonic()
        if now - self._noted_at >= NOTE_SECONDS and self._noted != self._published:
            await self._note()
        if now - self._looked_at >= LOOK_SECONDS:
            await self._look(reached)
        if now - self._refreshed_at >= REFRESH_SECONDS:
            await self._arrived()
            await self._refresh()

    async def _note(self) -> None:
        position = self._published
        cleared = await self._database.write(note_published, position, CLEARED_ROWS)
        if cleared < CLEARED_ROWS:
            self._noted = position
        self._noted_at = self._clock.monotonic()

    async def _look(self, reached: Reached) -> None:
        """A topic that was made anew takes records as if nothing had happened."""
        if await self._producer.identity() != (reached.cluster_id, reached.topic_id):
            raise BrokerUnavailableError("the topic reviews-raw is not the same any more")
        await self._database.write(end_decision, reached.cluster_id, reached.topic_id)
        self._looked_at = self._clock.monotonic()

    async def _refresh(self) -> None:
        """A transaction with nothing but the position."""
        await self._producer.send((), self._sent)
        self._refreshed_at = self._clock.monotonic()

    async def _rest(self) -> None:
        """Let some more gather, note the position when nothing did, and wait for a wake-up."""
        await self._clock.sleep(GATHER_SECONDS)
        if not self._woken.is_set() and self._noted != self._published:
            await self._note()
        idle = self._idle if self._noted == self._published else NOTE_SECONDS
        await until_set(self._clock, self._woken, idle - GATHER_SECONDS)

    async def _finish(self) -> None:
        """The batch on its way has a while to arrive; then the store learns how far it went, if it can."""
        if self._sending is not None:
            await asyncio.wait((self._sending,), timeout=STOP_SECONDS)
            if self._sending.done() and not self._sending.cancelled() and (error := self._sending.exception()):
                log.warning(Event.PUBLISHER_AWAY, cause=str(error))
        if self._noted != self._published:
            with suppress(StoreUnavailableError, BrokerUnavailableError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._note()
