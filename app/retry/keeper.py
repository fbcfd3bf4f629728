"""Looks after the broker's topics: makes those that are missing, and notices when work was wiped with them."""

from collections.abc import Callable

import structlog

from app.broker.base import Broker, BrokerUnavailableError, TopicLayoutError
from app.clock import Clock
from app.store.database import Database, StoreUnavailableError
from app.store.known_topics import release_anew_if_other
from app.store.tasks import reclaim_released
from app.telemetry.events import Event

KEEP_SECONDS = 10.0
RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class TopicKeeper:
    """One in each process. Once its topics are there, only the one that leads the scheduler goes on looking, and who
    has found a problem until it is mended."""

    def __init__(self, database: Database, broker: Broker, clock: Clock, leading: Callable[[], bool]) -> None:
        self._database = database
        self._broker = broker
        self._clock = clock
        self._leading = leading
        self._prepared = False
        self._made_anew = False
        self.problem: str | None = None
        """What a person has to mend about the topics."""

    async def prepare(self) -> None:
        """At the start: raises `TopicLayoutError`. A broker that is away is asked again by `run`."""
        try:
            await self._look()
        except BrokerUnavailableError as error:
            log.warning(Event.TOPICS_NOT_SEEN, cause=str(error))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(KEEP_SECONDS if self._prepared else RETRY_SECONDS)
            if self._prepared and self.problem is None and not self._made_anew and not self._leading():
                continue
            try:
                await self._look()
            except (BrokerUnavailableError, StoreUnavailableError) as error:
                log.warning(Event.TOPICS_NOT_SEEN, cause=str(error))
            except TopicLayoutError as error:
                if self.problem is None:
                    log.error(Event.TOPICS_UNFIT, cause=str(error))
                self.problem = str(error)

    async def _look(self) -> None:
        identity = await self._broker.prepare()
        self._prepared, self.problem = True, None
        if self._made_anew:
            await self._release_once_more()
        count = await self._database.write(release_anew_if_other, identity)
        if count is not None:
            self._made_anew = True  # also without any: what is sent next finds consumers at the old offsets
            log.warning(Event.TASKS_RECLAIMED, count=count, why="the broker's topics are not those they were sent to")

    async def _release_once_more(self) -> None:
        """A consumer goes on at the offset where it stood in the topic that is gone: it passes over as many messages of
        the new one, if these came before it looked. What comes now lies behind that offset, or leads it back to the
        first."""
        count = await self._database.write(reclaim_released)
        self._made_anew = False
        if count:
            log.warning(Event.TASKS_RECLAIMED, count=count, why="they were sent as the broker's topics were made anew")
