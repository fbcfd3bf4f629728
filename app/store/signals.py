"""Hints between the processes on one PostgreSQL: "there may be news", over LISTEN and NOTIFY.

A hint saves the wait until the next look at the store, and nothing depends on it: whoever listens also looks by
itself now and then. So sending never waits and never fails, and what is lost with a connection is made up for by one
hint on every topic when the next connection stands.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog

from app.clock import Clock, until_set
from app.store.postgresql_servers import Servers
from app.telemetry.events import Event

CHANNEL = "review_fetcher"

PAUSE_SECONDS = 0.05
"""Between two NOTIFY of one process: a page settled each 5 ms must not wake every replica 200 times a second."""

CHECK_SECONDS = 30.0
"""A peer that vanished without a word (frozen, unplugged) sends nothing, which is what a quiet one does too: ask."""

ANSWER_WITHIN_SECONDS = 5.0

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Signals:
    """One connection to `url` (`postgresql://…`), for hearing and telling. A process does not hear itself.

    Only services on the same database hear each other. `clock` decides about pauses, not about the network.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._servers = Servers(url)
        self._clock = clock
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._topics: set[str] = set()
        self._woken = asyncio.Event()
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def on(self, topic: str, callback: Callable[[], None]) -> None:
        """Have `callback` called, on the event loop, when another process sent `topic`, or may have done."""
        self._callbacks.setdefault(topic, []).append(callback)

    def send(self, topic: str) -> None:
        """Tell the other processes, soon. While there is no connection, one hint for each topic waits for it."""
        self._topics.add(topic)
        self._woken.set()

    async def start(self) -> None:
        """Returns at once: a database that is away is tried again in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="signals")

    async def connected(self) -> None:
        """Waits until other processes are heard."""
        await self._connected.wait()

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                async with self._connection() as connection:
                    backoff = FIRST_BACKOFF_SECONDS
                    await self._talk(connection)
            except Exception as error:  # a hint must never end the service, nor end itself
                if backoff == FIRST_BACKOFF_SECONDS:
                    log.warning(Event.SIGNALS_AWAY, cause=str(error) or type(error).__name__)
            await self._clock.sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._servers.connect(
            ANSWER_WITHIN_SECONDS,
            command_timeout=ANSWER_WITHIN_SECONDS,
            # A NOTIFY counts as a write and would wait for the disk.
            server_settings={"application_name": "review-fetcher signals", "synchronous_commit": "off"},
        )
        try:
            connection.add_termination_listener(self._lost)
            await connection.add_listener(CHANNEL, self._heard)
            self._connected.set()
            for topic in self._callbacks:
                self._tell(topic)
            yield connection
        finally:
            self._connected.clear()
            with suppress(Exception):
                await connection.close(timeout=1.0)

    async def _talk(self, connection: asyncpg.Connection) -> None:
        """Until the connection is lost."""
        while not connection.is_closed():
            await until_set(self._clock, self._woken, CHECK_SECONDS)
            self._woken.clear()
            await self._notify(connection)
            await self._clock.sleep(PAUSE_SECONDS)

    async def _notify(self, connection: asyncpg.Connection) -> None:
        """With no topic to send it only asks for an answer."""
        topics, self._topics = self._topics, set()
        try:
            await connection.execute("SELECT pg_notify($1, topic) FROM unnest($2::text[]) AS topic", CHANNEL, topics)
        except BaseException:
            self._topics |= topics
            raise

    def _lost(self, _connection: object) -> None:
        self._woken.set()

    def _heard(self, connection: asyncpg.Connection, sender: int, _channel: str, topic: object) -> None:
        if sender != connection.get_server_pid():
            self._tell(str(topic))

    def _tell(self, topic: str) -> None:
        for callback in self._callbacks.get(topic, ()):
            callback()
