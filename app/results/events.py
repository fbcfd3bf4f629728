"""What happens to a job, as server-sent events (HTML Living Standard, 9.2), from the one read model.

An event tells how things stand, never what to add: so a client needs only the newest of each kind, whatever it missed.
The id of an event says what its client has seen by then, in digests. It holds no position in anything, so any replica
can go on behind it, also after a restart: what differs from the digests is sent.

One read a while answers for every client of the process. A client holds no database session, and nothing that grows.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import structlog

from app.clock import Clock, first_done
from app.models.errors import TooManyStreamsError
from app.models.job import ENDED
from app.models.views import JobView
from app.results.progress import Progress
from app.store.database import StoreUnavailableError
from app.telemetry.events import Event

LOOK_SECONDS = 0.5
"""Between two looks at the jobs that are watched."""

HEARTBEAT_SECONDS = 15.0
"""Proxies cut connections on which nothing comes for a minute or so."""

RETRY_MILLISECONDS = 2_000
"""How long a client whose connection broke waits before it comes back."""

MOST_STREAMS = 10_000
MOST_RENDERED = 64
"""Clients that have seen different things are few: those that just came, and those that came back."""

HEARTBEAT = b": heartbeat\n\n"
GREETING = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
DONE = "done"

log = structlog.get_logger(__name__)


class Seen(NamedTuple):
    """What a client has seen: a digest of the job's state, of its waiting, of its progress; "" is nothing yet."""

    state: str = ""
    waiting: str = ""
    progress: str = ""

    @classmethod
    def parse(cls, event_id: str | None) -> "Seen":
        """From the id of an event; what is none of ours counts as nothing seen."""
        parts = (event_id or "").removeprefix(f"{DONE}.").split(".")
        return cls(*parts) if len(parts) == len(cls._fields) else cls()

    def __str__(self) -> str:
        return ".".join(self)


class Snapshot:
    """A job at one moment, rendered once for all clients that have seen the same."""

    def __init__(self, job: JobView) -> None:
        self._job = job
        self.ended = job.status in ENDED
        self.now = Seen(_digest(_state_key(job)), _digest(_waiting(job)), _digest(_counts(job)))
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
    return [job.status, job.error and job.error.model_dump(mode="json"), token, warned]


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
    """A job that somebody watches: how it stood last, and a future for its next change."""

    def __init__(self, job: JobView) -> None:
        self.snapshot = Snapshot(job)
        self.clients = 0
        self.changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mark = _mark(job)

    def become(self, job: JobView) -> None:
        mark = _mark(job)
        if mark == self._mark:
            return
        self._mark, before = mark, self.snapshot
        self.snapshot = Snapshot(job)
        if self.snapshot.now != before.now:
            self.wake()

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.get_running_loop().create_future()
        if not changed.done():
            changed.set_result(None)


def _mark(job: JobView) -> object:
    """Differs whenever something differs that is told; far cheaper than digests of jobs that stand still."""
    return job.status, job.updated_at, job.waiting, job.token is not None and job.token.warning is not None


_Key = tuple[str, str]
"""Tenant and job id."""


class JobEvents:
    """Streams of events, fed by one loop that runs while anybody watches.

    `look_seconds` and `heartbeat_seconds` are shorter in tests.
    """

    def __init__(
        self,
        progress: Progress,
        clock: Clock,
        *,
        look_seconds: float = LOOK_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._look_seconds = look_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._most_streams = most_streams
        self._watched: dict[_Key, _Watched] = {}
        self._streams = 0
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def streams(self) -> int:
        """How many clients are served now."""
        return self._streams

    async def follow(self, tenant: str, job_id: str, last_event_id: str | None) -> AsyncIterator[bytes] | None:
        """The job's events behind the one with this id, until it has ended. None: the client has seen the end.

        Raises JobNotFoundError, StoreUnavailableError and TooManyStreamsError, before anything is sent.
        """
        if self._closed or self._streams >= self._most_streams:
            raise TooManyStreamsError
        key = (tenant, job_id)
        watched = self._watched.get(key)
        if watched is None:
            watched = _Watched(await self._progress.job(tenant, job_id))
            watched = self._watched.get(key, watched)
        seen = Seen.parse(last_event_id)
        if (last_event_id or "").startswith(f"{DONE}.") and watched.snapshot.ended and seen == watched.snapshot.now:
            return None
        return self._stream(key, watched, seen)

    def close(self) -> None:
        """End every stream at once; its clients come back to another replica, or later. Idempotent."""
        self._closed = True
        for watched in self._watched.values():
            watched.wake()

    async def _stream(self, key: _Key, watched: _Watched, seen: Seen) -> AsyncIterator[bytes]:
        watched = self._enter(key, watched)
        try:
            yield GREETING
            while not self._closed:
                changed, snapshot = watched.changed, watched.snapshot
                if news := snapshot.since(seen):
                    seen = snapshot.now
                    yield news
                if snapshot.ended:
                    return
                if watched.changed is changed:
                    await first_done(self._clock, self._heartbeat_seconds, (changed,))
                    if not changed.done():
                        yield HEARTBEAT
        finally:
            self._leave(key, watched)

    def _enter(self, key: _Key, watched: _Watched) -> _Watched:
        watched = self._watched.setdefault(key, watched)
        watched.clients += 1
        self._streams += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="job_events")
        return watched

    def _leave(self, key: _Key, watched: _Watched) -> None:
        watched.clients -= 1
        self._streams -= 1
        if not watched.clients and self._watched.get(key) is watched:
            del self._watched[key]
        if not self._watched and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        """Look at all watched jobs, again and again."""
        while True:
            await self._clock.sleep(self._look_seconds)
            try:
                found = await self._progress.many(list(self._watched))
            except StoreUnavailableError as error:
                log.warning(Event.EVENTS_STORE_AWAY, cause=str(error))
                continue
            except Exception:
                log.exception(Event.EVENTS_LOOK_FAILED)  # its clients would wait for ever without the next look
                continue
            for key, job in found.items():
                if watched := self._watched.get(key):
                    watched.become(job)
