"""What happens to a job, as server-sent events (HTML Living Standard, 9.2), from the one read model.

An event tells how things stand, never what to add: so a client needs only the newest of each kind, whatever it missed.
The id of an event says what its client has seen by then, in digests. It holds no position in anything, so any replica
can go on behind it, also after a restart: what differs from the digests is sent.

One read a while answers for every client of the process. A client holds no database session, and nothing that grows.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import structlog

from app.clock import Clock
from app.models.errors import TooManyStreamsError
from app.models.job import ENDED
from app.models.views import JobView
from app.results.progress import Progress
from app.store.database import StoreUnavailableError
from app.telemetry.events import Event
from app.telemetry.shared import shared_task

LOOK_SECONDS = 0.5
"""Between two looks at the jobs that are watched."""

GUARD_SECONDS = 3.0
"""Between two looks at whether those who follow may still do so: a revoked key is seen within 5 seconds besides."""

LOOK_REST = 4.0
"""How many times as long as a look takes the next one waits at least."""

HEARTBEAT_SECONDS = 15.0
"""Proxies cut connections on which nothing comes for a minute or so."""

RETRY_MILLISECONDS = 2_000
"""How long a client whose connection broke waits before it comes back."""

LONGEST_SECONDS = 900.0
"""Then a client comes back, as after a break: perhaps to a replica that has less to do."""

MOST_STREAMS = 5_000
MOST_RENDERED = 64
"""Clients that have seen different things are few: those that just came, and those that came back."""

HEARTBEAT = b": heartbeat\n\n"
GREETING = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
DONE = "done"

log = structlog.get_logger(__name__)


class Seen(NamedTuple):
    """What a client has seen of this job: a digest of its state, of its waiting, of its progress; "" is nothing yet."""

    state: str = ""
    waiting: str = ""
    progress: str = ""

    def __str__(self) -> str:
        return ".".join(self)


_ID = re.compile(rf"(?P<end>{DONE}\.)?(?P<seen>(?:[0-9a-f]{{12}})?\.(?:[0-9a-f]{{12}})?\.(?:[0-9a-f]{{12}})?)")


class Told(NamedTuple):
    """What the id of an event says: what its client had seen, and whether that was the end."""

    seen: Seen = Seen()
    end: bool = False

    @classmethod
    def parse(cls, event_id: str | None) -> "Told":
        """What is no id of ours counts as none: nothing seen."""
        known = _ID.fullmatch(event_id or "")
        return cls(Seen(*known["seen"].split(".")), bool(known["end"])) if known else cls()


class Snapshot:
    """A job at one moment, rendered once for all clients that have seen the same."""

    def __init__(self, job: JobView) -> None:
        self._job = job
        self.ended = job.status in ENDED
        told = (_state_key(job), _waiting(job), _counts(job))
        self.now = Seen(*(_digest([job.job_id, value]) for value in told))
        self._rendered: dict[Seen, bytes] = {}

    def since(self, seen: Seen) -> bytes:
        """The events that bring a client from what it has seen to now; with the last one when the job has ended."""
        known = self._rendered.get(seen)
        if known is None:
            known = b"".join(self._events(seen))
            if len(self._rendered) < MOST_RENDERED:
                self._rendered[seen] = known
        return known

    def _events(self, seen: Seen) -> list[bytes]:
        job, now, found = self._job, self.now, []
        if seen.state != now.state:
            seen = seen._replace(state=now.state)
            found.append(_event("state", str(seen), _state(job)))
        if seen.waiting != now.waiting and (seen.waiting or job.waiting):
            seen = seen._replace(waiting=now.waiting)
            found.append(_event("waiting", str(seen), _waiting(job)))
        if seen.progress != now.progress:
            found.append(_event("progress", str(now), _progress(job)))
        if self.ended:
            found.append(_event(DONE, f"{DONE}.{now}", job.model_dump(mode="json")))
        return found


def _state_key(job: JobView) -> object:
    """Without what changes with every page or second."""
    token = job.token and job.token.model_dump(mode="json", exclude={"seconds_left", "warning"})
    warned = job.token is not None and job.token.warning is not None
    finished_at = job.finished_at and job.finished_at.isoformat()
    return [job.status, finished_at, job.error and job.error.model_dump(mode="json"), token, warned]


def _state(job: JobView) -> object:
    return job.model_dump(mode="json", include={"job_id", "status", "message", "error", "token", "finished_at"})


def _waiting(job: JobView) -> object:
    return job.waiting.model_dump(mode="json") if job.waiting else {"reason": None, "until": None}


def _counts(job: JobView) -> object:
    return job.progress.model_dump(mode="json")


def _progress(job: JobView) -> object:
    return job.model_dump(mode="json", include={"job_id", "message", "progress", "estimate", "updated_at"})


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def _event(kind: str, event_id: str, data: object) -> bytes:
    """JSON without line breaks is one `data` line, whatever stands in it."""
    return f"event: {kind}\nid: {event_id}\ndata: {json.dumps(data, ensure_ascii=True)}\n\n".encode()


class _Watched:
    """A job that somebody watches: how it stood last, and who waits for its next change."""

    def __init__(self, job: JobView) -> None:
        self.snapshot = Snapshot(job)
        self.clients = 0
        self.gone = False
        self._mark = _mark(job)
        self._waiting: set[asyncio.Future[None]] = set()

    def become(self, job: JobView) -> None:
        mark = _mark(job)
        if mark == self._mark:
            return
        self._mark, before = mark, self.snapshot
        self.snapshot = Snapshot(job)
        if self.snapshot.now != before.now:
            self.wake()

    def vanish(self) -> None:
        """The job is erased: its clients end, and are told so when they come back."""
        self.gone = True
        self.wake()

    async def woken(self) -> None:
        """Until there may be something to send. Each client has a future of its own: cancelling one ends no other."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


def _mark(job: JobView) -> object:
    """Differs whenever something differs that is told; far cheaper than digests of jobs that stand still."""
    token = job.token and (job.token.expires_at, job.token.refreshable, job.token.warning is None)
    return job.status, job.updated_at, job.waiting, token


_Key = tuple[str, str]
"""Tenant and job id."""

Right = Callable[[], Awaitable[bool]]
"""Whether somebody may still follow."""


class _Client:
    """One stream. `over`: it has lost the right to it."""

    def __init__(self, watched: _Watched, right: Right | None) -> None:
        self.watched = watched
        self.right = right
        self.over = False

    async def look(self) -> None:
        if self.right is not None and not await self.right():
            self.over = True
            self.watched.wake()


class JobEvents:
    """Streams of events, fed by two loops that run while anybody watches: one looks, one keeps connections alive."""

    def __init__(self, progress: Progress, clock: Clock, *, most_streams: int = MOST_STREAMS) -> None:
        self._progress = progress
        self._clock = clock
        self._most_streams = most_streams
        self._watched: dict[_Key, _Watched] = {}
        self._clients: set[_Client] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def streams(self) -> int:
        """How many clients are served now."""
        return len(self._clients)

    @property
    def watched(self) -> int:
        """How many jobs are looked at."""
        return len(self._watched)

    async def follow(
        self, tenant: str, job_id: str, last_event_id: str | None, right: Right | None = None
    ) -> AsyncIterator[bytes] | None:
        """The job's events behind the one with this id, until it has ended. None: the client has seen the end.

        `right`: asked every few seconds; when it says no, the stream ends.
        Raises JobNotFoundError, StoreUnavailableError and TooManyStreamsError, before anything is sent.
        """
        if self._closed or self.streams >= self._most_streams:
            raise TooManyStreamsError
        key = (tenant, job_id)
        watched = self._watched.get(key)
        if watched is None:
            watched = _Watched(await self._progress.job(tenant, job_id))
        told = Told.parse(last_event_id)
        if told.end and watched.snapshot.ended and told.seen == watched.snapshot.now:
            return None
        return self._stream(key, watched, told.seen, right)

    def close(self) -> None:
        """End every stream at once; its clients come back to another replica, or later. Idempotent."""
        self._closed = True
        for watched in self._watched.values():
            watched.wake()

    async def _stream(self, key: _Key, watched: _Watched, seen: Seen, right: Right | None) -> AsyncIterator[bytes]:
        client = self._enter(key, watched, right)
        watched = client.watched
        until = self._clock.monotonic() + LONGEST_SECONDS
        try:
            yield GREETING
            woken = False
            while not (self._closed or watched.gone or client.over) and self._clock.monotonic() < until:
                snapshot = watched.snapshot
                if news := snapshot.since(seen):
                    seen = snapshot.now
                    yield news
                elif woken:
                    yield HEARTBEAT
                if snapshot.ended:
                    return
                woken = watched.snapshot is snapshot and not (self._closed or client.over)
                if woken:
                    await watched.woken()
        finally:
            self._leave(key, client)

    def _enter(self, key: _Key, watched: _Watched, right: Right | None) -> _Client:
        client = _Client(self._watched.setdefault(key, watched), right)
        client.watched.clients += 1
        self._clients.add(client)
        if not self._loops:
            bodies = (self._look, self._beat, self._guard)
            self._loops = [shared_task(body(), "job_events") for body in bodies]
        return client

    def _leave(self, key: _Key, client: _Client) -> None:
        client.watched.clients -= 1
        self._clients.discard(client)
        if not client.watched.clients:
            del self._watched[key]
        if not self._watched:
            for loop in self._loops:
                loop.cancel()
            self._loops = []

    async def _look(self) -> None:
        """Look at all watched jobs, again and again; the more they are, the less often, so that others get on."""
        away, took = False, 0.0
        while True:
            await self._clock.sleep(max(LOOK_SECONDS, LOOK_REST * took))
            began = self._clock.monotonic()
            looked_at = dict(self._watched)
            try:
                found = await self._progress.many(list(looked_at))
            except StoreUnavailableError as error:
                if not away:
                    log.warning(Event.EVENTS_STORE_AWAY, cause=str(error))
                away = True
                continue
            except Exception:
                log.exception(Event.EVENTS_LOOK_FAILED)  # its clients would wait for ever without the next look
                continue
            away, took = False, self._clock.monotonic() - began
            for key, watched in looked_at.items():
                if key in found:
                    watched.become(found[key])
                else:
                    watched.vanish()

    async def _beat(self) -> None:
        """Apart from the looks, which may wait long for the store. Who is woken without news sends a heartbeat."""
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            for watched in self._watched.values():
                watched.wake()

    async def _guard(self) -> None:
        """Who has lost the right to follow is let go, however quiet its job is."""
        while True:
            await self._clock.sleep(GUARD_SECONDS)
            for client in tuple(self._clients):
                try:
                    await client.look()
                except Exception:
                    log.exception(Event.EVENTS_LOOK_FAILED)  # the others are looked at all the same
