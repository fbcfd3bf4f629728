"""Streams of events: what is sent to whom, and how little it costs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.errors import JobNotFoundError, TooManyStreamsError
from app.models.job import JobStatus
from app.models.views import (
    AccountsProgress,
    JobView,
    LocationsProgress,
    ProblemView,
    ReviewsProgress,
    TasksProgress,
    TokenView,
    Waiting,
)
from app.models.views import Progress as Counts
from app.results import events
from app.results.events import (
    GUARD_SECONDS,
    HEARTBEAT_SECONDS,
    LONGEST_SECONDS,
    LOOK_SECONDS,
    JobEvents,
    Right,
    Seen,
    Snapshot,
    Told,
)
from app.results.progress import Progress
from app.store.database import StoreUnavailableError
from tests.support.clock import ManualClock, settle_loop
from tests.support.events import Event, parse

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TENANT = "default"


def job(job_id: str = "job-1", *, fetched: int = 0, status: JobStatus = JobStatus.PROCESSING) -> JobView:
    return JobView(
        job_id=job_id,
        status=status,
        message="",
        created_at=NOON,
        updated_at=NOON + timedelta(seconds=fetched),
        finished_at=NOON if status is JobStatus.COMPLETED else None,
        progress=Counts(
            accounts=AccountsProgress(found=1, done=1),
            locations=LocationsProgress(found=1, done=0, unavailable=0),
            reviews=ReviewsProgress(fetched=fetched, duplicates=0, expected=1_000),
            calls=fetched,
            tasks=TasksProgress(open=1, done=2, dead=0),
        ),
        waiting=None,
        error=None,
    )


class Jobs(Progress):
    """Jobs as a test has them; counts the reads, and may be away, or hang."""

    def __init__(self, *jobs: JobView) -> None:
        self.standing = {(TENANT, one.job_id): one for one in jobs}
        self.reads: list[int] = []
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()

    def become(self, *jobs: JobView) -> None:
        self.standing |= {(TENANT, one.job_id): one for one in jobs}

    async def job(self, tenant: str, job_id: str) -> JobView:
        if (tenant, job_id) not in self.standing:
            raise JobNotFoundError
        return self.standing[tenant, job_id]

    async def many(self, which: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JobView]:
        self.reads.append(len(which))
        await self.answering.wait()
        if self.away:
            raise StoreUnavailableError
        return {key: self.standing[key] for key in which if key in self.standing}


class Client:
    """Reads its stream whenever it can, but while it is frozen; `events` are what it got."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self.events: list[Event] = []
        self.chunks: list[bytes] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncIterator[bytes]) -> None:
        async for chunk in stream:
            self.chunks.append(chunk)
            self.events += parse(chunk)
            await self.reading.wait()

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Served:
    """Events of these jobs, by a clock that a test moves."""

    def __init__(self, *jobs: JobView, most_streams: int = 10_000) -> None:
        self.jobs = Jobs(*jobs)
        self.clock = ManualClock()
        self.events = JobEvents(self.jobs, self.clock, most_streams=most_streams)

    async def client(
        self, job_id: str = "job-1", last_event_id: str | None = None, right: Right | None = None
    ) -> Client:
        stream = await self.events.follow(TENANT, job_id, last_event_id, right)
        assert stream is not None
        client = Client(stream)
        await settle_loop()
        return client

    async def look(self, *jobs: JobView) -> None:
        """These jobs have become so, and have been looked at."""
        self.jobs.become(*jobs)
        await self.clock.advance(LOOK_SECONDS)


async def test_a_job_is_told_from_its_state_to_its_end() -> None:
    served = Served(job())
    client = await served.client()
    assert client.chunks[0] == b"retry: 2000\n\n"
    assert client.kinds == ["state", "progress"]
    waiting = Waiting(reason="the minute is used up", until=NOON)
    await served.look(job(fetched=50))
    await served.look(job(fetched=60).model_copy(update={"waiting": waiting}))
    await served.look(job(fetched=61))
    await served.look(job(fetched=100, status=JobStatus.COMPLETED))
    await asyncio.wait_for(client.task, 5)
    assert client.kinds[2:] == ["progress", "waiting", "progress", "waiting", "progress", "state", "progress", "done"]
    waits, over = [event.data for event in client.events if event.kind == "waiting"]
    assert waits == {"reason": "the minute is used up", "until": "2026-01-01T12:00:00Z"}
    assert over == {"reason": None, "until": None}
    assert client.events[-1].data == job(fetched=100, status=JobStatus.COMPLETED).model_dump(mode="json")
    assert client.events[-2].data["progress"]["reviews"]["fetched"] == 100


async def test_a_job_that_has_ended_is_told_whole() -> None:
    served = Served(job(status=JobStatus.COMPLETED))
    client = await served.client()
    assert client.kinds == ["state", "progress", "done"]
    assert client.task.done()


async def test_the_id_of_every_event_leads_to_what_comes_after_it() -> None:
    """On another replica, which has seen nothing of the client: no event is missing, and none comes twice."""
    waiting = Waiting(reason="the minute is used up", until=NOON)
    problem = ProblemView(type="token_expired", title="Token expired", detail="Give it a new one.")
    now = job(fetched=50).model_copy(update={"waiting": waiting, "error": problem})
    told = (await Served(now).client()).events
    assert [event.kind for event in told] == ["state", "waiting", "progress"]
    for number, event in enumerate(told, 1):
        other = await Served(now).client(last_event_id=event.id)
        assert other.events == told[number:]


async def test_only_what_differs_is_told_after_a_break() -> None:
    first = (await Served(job(fetched=50)).client()).events[-1]
    client = await Served(job(fetched=60)).client(last_event_id=first.id)
    assert client.kinds == ["progress"]
    client = await Served(job(fetched=50, status=JobStatus.PAUSED)).client(last_event_id=first.id)
    assert client.kinds == ["state"]


async def test_who_has_seen_the_end_need_not_come_again() -> None:
    ended = job(fetched=100, status=JobStatus.COMPLETED)
    done = (await Served(ended).client()).events[-1]
    assert await Served(ended).events.follow(TENANT, "job-1", done.id) is None


async def test_the_end_is_told_to_who_has_seen_all_but_it() -> None:
    ended = job(fetched=100, status=JobStatus.COMPLETED)
    *_, last, done = (await Served(ended).client()).events
    assert (await Served(ended).client(last_event_id=last.id)).events == [done]


async def test_a_job_that_went_on_after_its_end_is_told_again() -> None:
    done = (await Served(job(status=JobStatus.DLQ)).client()).events[-1]
    client = await Served(job()).client(last_event_id=done.id)
    assert client.kinds == ["state"]
    again = job(status=JobStatus.DLQ).model_copy(update={"finished_at": NOON + timedelta(hours=1)})
    assert (await Served(again).client(last_event_id=done.id)).kinds == ["state", "done"]


@given(st.text() | st.from_regex(r"(done\.)?[0-9a-f.]*", fullmatch=True))
def test_an_id_that_is_none_of_ours_counts_as_none(text: str) -> None:
    told = Told.parse(text)
    assert told == Told() or f"{'done.' if told.end else ''}{told.seen}" == text


@pytest.mark.parametrize("text", [None, "", "7", "done.", "a.b.c", "done.a.b.c", "\0", "..\n", "x" * 100_000])
async def test_a_made_up_id_begins_anew(text: str | None) -> None:
    assert (await Served(job()).client(last_event_id=text)).kinds == ["state", "progress"]


def test_an_id_says_nothing_of_seconds_and_estimates() -> None:
    """They differ from replica to replica and from look to look."""
    token = TokenView(expires_at=NOON, seconds_left=60)
    one, other = [
        Snapshot(job().model_copy(update={"token": token.model_copy(update={"seconds_left": left})}))
        for left in (60, 59)
    ]
    assert one.now == other.now
    assert one.now != Snapshot(job().model_copy(update={"token": token.model_copy(update={"warning": "!"})})).now


async def test_a_client_that_stops_reading_gets_the_newest_and_nothing_piles_up() -> None:
    served = Served(job())
    client = await served.client()
    client.reading.clear()
    for fetched in range(1, 101):
        await served.look(job(fetched=fetched))
    assert [event.data["progress"]["reviews"]["fetched"] for event in client.events if event.kind == "progress"] == [
        0,
        1,
    ]
    client.reading.set()
    await settle_loop()
    assert [event.data["progress"]["reviews"]["fetched"] for event in client.events[2:]] == [1, 100]


async def test_a_frozen_client_keeps_nobody_waiting() -> None:
    served = Served(job())
    frozen, others = await served.client(), [await served.client() for _ in range(5)]
    frozen.reading.clear()
    for fetched in (1, 2):
        await served.look(job(fetched=fetched))
    assert {tuple(other.kinds) for other in others} == {("state", "progress", "progress", "progress")}


async def test_an_event_is_rendered_once_for_all_clients() -> None:
    served = Served(job())
    clients = [await served.client() for _ in range(50)]
    await served.look(job(fetched=50))
    assert len({id(client.chunks[-1]) for client in clients}) == 1


async def test_one_read_serves_all_clients_and_none_is_made_for_nobody() -> None:
    served = Served(job(), job("job-2"))
    clients = [await served.client(name) for name in ("job-1", "job-2") for _ in range(10)]
    await served.look()
    assert served.jobs.reads == [2]
    for client in clients[:10]:
        await client.leave()
    await served.look()
    assert served.jobs.reads == [2, 1]
    for client in clients[10:]:
        await client.leave()
    await served.clock.advance(10 * LOOK_SECONDS)
    assert served.jobs.reads == [2, 1]
    assert (served.events.streams, served.events.watched) == (0, 0)
    again = await served.client()
    await served.look(job(fetched=9))
    assert again.kinds[-1] == "progress"


async def test_a_stream_on_which_nothing_comes_is_kept_alive() -> None:
    served = Served(job())
    client = await served.client()
    await served.clock.advance(2 * HEARTBEAT_SECONDS)
    assert client.kinds == ["state", "progress", "", ""]


async def test_streams_outlast_an_outage_of_the_store() -> None:
    served = Served(job())
    client = await served.client()
    served.jobs.away = True
    await served.look(job(fetched=50))
    served.jobs.answering.clear()
    await served.clock.advance(2 * HEARTBEAT_SECONDS)
    assert client.kinds[2:] == ["", ""]
    served.jobs.answering.set()
    await settle_loop()
    served.jobs.away = False
    await served.look()
    assert client.events[-1].data["progress"]["reviews"]["fetched"] == 50


async def test_a_look_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(job())
    client = await served.client()
    with monkeypatch.context() as patch:
        patch.setattr(served.jobs, "many", None)
        await served.look()
    await served.look(job(fetched=50))
    assert client.kinds[-1] == "progress"


async def test_so_many_clients_and_no_more() -> None:
    served = Served(job(), most_streams=2)
    client, _ = await served.client(), await served.client()
    with pytest.raises(TooManyStreamsError):
        await served.client()
    await client.leave()
    await served.client()


async def test_an_unknown_job_is_told_before_anything_is_sent() -> None:
    served = Served(job())
    for tenant, job_id in ((TENANT, "job-2"), ("other", "job-1")):
        with pytest.raises(JobNotFoundError):
            await served.events.follow(tenant, job_id, None)
    assert served.events.watched == 0


async def test_a_stop_ends_every_stream_and_takes_no_more() -> None:
    served = Served(job())
    client, frozen = await served.client(), await served.client()
    frozen.reading.clear()
    await served.look(job(fetched=50))
    served.events.close()
    await asyncio.wait_for(client.task, 5)
    assert client.kinds[-1] == "progress"
    with pytest.raises(TooManyStreamsError):
        await served.client()
    frozen.reading.set()
    await asyncio.wait_for(frozen.task, 5)
    assert served.events.streams == 0


async def test_a_client_comes_back_now_and_then() -> None:
    served = Served(job())
    client = await served.client()
    await served.clock.advance(LONGEST_SECONDS)
    await asyncio.wait_for(client.task, 5)
    assert set(client.kinds[2:]) == {""}
    back = await served.client(last_event_id=client.events[1].id)
    assert back.events == []


async def test_a_stream_ends_when_its_client_has_lost_the_right_and_others_go_on() -> None:
    served, allowed = Served(job()), True

    async def right() -> bool:
        return allowed

    async def broken() -> bool:
        raise RuntimeError

    kept = [await served.client(), await served.client(right=broken)]
    quiet = await served.client(right=right)
    await served.clock.advance(2 * GUARD_SECONDS)
    assert not quiet.task.done()
    allowed = False
    await served.clock.advance(GUARD_SECONDS)
    await asyncio.wait_for(quiet.task, 5)
    assert (quiet.kinds[-1] != "done", served.events.streams) == (True, 2)
    await served.look(job(fetched=5))
    assert [client.kinds[-1] for client in kept] == ["progress"] * 2


async def test_ids_that_clients_made_up_do_not_fill_the_memory() -> None:
    snapshot = Snapshot(job())
    for number in range(10 * events.MOST_RENDERED):
        snapshot.since(Seen(state=f"{number:012x}"))
    assert len(snapshot._rendered) == events.MOST_RENDERED
