"""The publisher: what settles have announced goes to reviews-raw, each review once. One replica leads, and runs it."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.reach import Reach
from app.broker.transactions import RefusedError, TransactionalProducer
from app.clock import Clock
from app.models.events import Topic
from app.results.portion import Portion
from app.results.publishing import IDLE_SECONDS, Publishing
from app.store.database import Database, StoreUnavailableError
from app.store.published import RepublishNeededError
from app.telemetry.events import Event

RETRY_SECONDS = 3.0
"""After a failure; and so soon an operator's decision is seen."""

log = structlog.get_logger(__name__)


class ReviewPublisher:
    """Publishes while `run` runs. `topic_prefix` begins the names of all topics."""

    def __init__(
        self,
        database: Database,
        connection: KafkaConnection,
        consumer_group: str,
        clock: Clock,
        *,
        layout: TopicLayout,
        topic_prefix: str = "",
        deadline: float = 10.0,
        idle: float = IDLE_SECONDS,
        published: Callable[[int], None] | None = None,
    ) -> None:
        """`deadline`: seconds for each exchange with Kafka; `idle`: until the store is asked unwoken; `published` is
        told how many reviews arrived in a batch."""
        name = f"{consumer_group}-publisher"
        topic = topic_prefix + Topic.REVIEWS_RAW
        self._producer = partial(TransactionalProducer, connection, name, topic, layout, clock, deadline=deadline)
        self._database = database
        self._clock = clock
        self._prefix = topic_prefix
        self._idle = idle
        self._published = published
        self._current: TransactionalProducer | None = None
        self._reach = Reach(clock)
        self._portion = Portion()
        self._woken = asyncio.Event()
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is published until somebody does something, and what that is; None: all is well."""
        return self._problem

    @property
    def unsent(self) -> int:
        """Messages on their way that Kafka has not confirmed."""
        return 0 if self._current is None else self._current.unsent

    @property
    def cut_off(self) -> bool:
        """Whether Kafka has not answered for so long that another process shall try."""
        return self._reach.cut_off

    def wake(self) -> None:
        """Something was announced: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled, or fenced (`FencedError`). A store or broker that is away is tried again, nothing is lost.

        Nothing of Kafka's is touched before the first call, so a standby does no harm.
        """
        self._reach.succeeded()
        try:
            await self._publish()
        finally:
            self._problem = None  # it is for whoever leads now to tell

    async def _publish(self) -> None:
        while True:
            producer = self._current = self._producer()
            publishing = Publishing(
                self._database,
                producer,
                self._clock,
                woken=self._woken,
                reach=self._reach,
                portion=self._portion,
                going_on=self._going_on,
                topic_prefix=self._prefix,
                idle=self._idle,
                published=self._published,
            )
            try:
                await publishing.run()
            except (RepublishNeededError, RefusedError) as error:
                self._stop_for(str(error))
            except (StoreUnavailableError, BrokerUnavailableError) as error:
                if isinstance(error, BrokerUnavailableError):
                    self._reach.failed()
                log.warning(Event.PUBLISHER_AWAY, cause=str(error))
            finally:
                self._current = None
                await producer.close()
            await self._clock.sleep(RETRY_SECONDS)

    def _going_on(self) -> None:
        self._problem = None

    def _stop_for(self, problem: str) -> None:
        if problem != self._problem:
            log.error(Event.PUBLISHER_STOPPED, problem=problem)
        self._problem = problem
