"""A job is followed through broken connections, and nothing is told twice or left out."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import pytest

from app.cli.backend import Backend
from app.cli.exits import AwayError, CommandError, ExitCode
from app.cli.interrupts import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Patience, interrupted
from app.cli.watching import CODES, Watching
from app.models.errors import JobNotFoundError
from app.models.job import ENDED, JobStatus
from app.models.views import JobView
from app.results.events import GREETING, HEARTBEAT, Seen, Snapshot, Told
from tests.unit.cli.test_progress import job

RUNNING = job(fetched=1)
FURTHER = job(fetched=2, reason="Google's quota")
DONE = job(JobStatus.COMPLETED, fetched=3)

BREAKS = AwayError("the connection broke.")

Scripted = Callable[[Seen], bytes] | AwayError


def news(view: JobView) -> Scripted:
    """What a service sends to who has seen so much."""
    return Snapshot(view).since


class Script:
    """A backend whose streams are written down: each connection gets the next one."""

    def __init__(self, streams: Sequence[Sequence[Scripted]], ends_as: JobView = DONE) -> None:
        self._streams = list(streams)
        self._ends_as = ends_as
        self.last_event_ids: list[str | None] = []

    async def job(self, _job_id: str) -> JobView:
        return RUNNING if self._streams else self._ends_as

    async def events(self, _job_id: str, last_event_id: str | None) -> AsyncGenerator[bytes]:
        self.last_event_ids.append(last_event_id)
        seen = Told.parse(last_event_id).seen
        for item in self._streams.pop(0):
            if isinstance(item, AwayError):
                raise item
            yield GREETING
            chunk = item(seen)
            if b"id: " in chunk:
                seen = Told.parse(chunk.split(b"id: ")[-1].split(b"\n")[0].decode()).seen
            yield chunk
            yield HEARTBEAT


async def watched(script: Script, pauses: list[float] | None = None) -> tuple[Watching, list[dict[str, Any]]]:
    """The watching when it has ended by itself, and the events that were told."""
    events: list[dict[str, Any]] = []

    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    watching = Watching(cast(Backend, script), "job-1", lambda _job: None, events.append, Patience(pause))
    await watching.run()
    return watching, events


async def test_it_ends_with_the_job() -> None:
    watching, events = await watched(Script([[news(RUNNING), news(FURTHER), news(DONE)]]))
    assert watching.job == DONE
    assert [event["event"] for event in events] == [
        "state", "progress", "waiting", "progress", "state", "waiting", "progress", "done",
    ]  # fmt: skip


async def test_a_broken_connection_is_made_again_behind_the_last_event() -> None:
    script = Script([[news(RUNNING), BREAKS], [BREAKS], [news(RUNNING), news(DONE)]])
    pauses: list[float] = []
    watching, events = await watched(script, pauses)
    assert watching.job == DONE
    assert [event["event"] for event in events] == ["state", "progress", "state", "progress", "done"]
    assert script.last_event_ids == [None, events[1]["id"], events[1]["id"]]
    assert pauses == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS]


async def test_a_stream_that_ends_before_the_job_is_one_that_broke() -> None:
    pauses: list[float] = []
    watching, _ = await watched(Script([[news(RUNNING)], [news(DONE)]]), pauses)
    assert watching.job == DONE
    assert pauses == [FIRST_PAUSE_SECONDS]


async def test_it_ends_when_only_a_person_can_help() -> None:
    stopped = job(JobStatus.NEEDS_TOKEN, fetched=2)
    watching, events = await watched(Script([[news(RUNNING), news(stopped), BREAKS]], stopped))
    assert watching.job == stopped
    assert CODES[watching.job.status] is ExitCode.NEEDS_TOKEN
    assert events[2]["data"]["status"] == "needs_token"


async def test_what_a_job_waits_for_is_shown_until_it_goes_on() -> None:
    shown: list[str | None] = []
    script = Script([[news(RUNNING), news(FURTHER), news(job(fetched=2)), news(DONE)]])

    def show(view: JobView) -> None:
        shown.append(view.waiting.reason if view.waiting else None)

    await Watching(cast(Backend, script), "job-1", show, lambda _: None).run()
    assert shown[0] is None
    assert "Google's quota" in shown
    assert shown[-1] is None


async def test_a_service_that_never_answered_is_not_waited_for() -> None:
    class Away(Script):
        async def job(self, _job_id: str) -> JobView:
            raise BREAKS

    with pytest.raises(AwayError):
        await watched(Away([]))


async def test_a_job_that_is_gone_ends_the_watching() -> None:
    class Gone(Script):
        async def events(self, _job_id: str, last_event_id: str | None) -> AsyncGenerator[bytes]:
            if last_event_id is not None:
                raise JobNotFoundError
            async for chunk in super().events(_job_id, last_event_id):
                yield chunk

    with pytest.raises(JobNotFoundError):
        await watched(Gone([[news(RUNNING), BREAKS], []]))


async def test_what_is_no_job_of_ours_is_told() -> None:
    def nonsense(_seen: Seen) -> bytes:
        return b'event: state\nid: 1\ndata: {"status": "enchanted"}\n\n'

    with pytest.raises(CommandError, match="not one of this service"):
        await watched(Script([[nonsense]]))


async def test_pauses_grow_to_half_a_minute_and_are_short_again_after_an_answer() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    patience = Patience(pause)
    patience.answered()
    for _ in range(9):
        await patience.wait(BREAKS)
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    patience.answered()
    await patience.wait(BREAKS)
    assert pauses[-1] == FIRST_PAUSE_SECONDS


def test_every_end_of_a_job_has_an_exit_code_of_its_own() -> None:
    assert set(CODES) == {*ENDED, JobStatus.NEEDS_TOKEN}
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_what_would_go_on(number: signal.Signals) -> None:
    async def forever() -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    assert await interrupted(forever()) is True


async def test_work_that_ends_was_not_interrupted_and_its_error_is_raised() -> None:
    async def fails() -> None:
        raise BREAKS

    assert await interrupted(asyncio.sleep(0)) is False
    with pytest.raises(AwayError):
        await interrupted(fails())
