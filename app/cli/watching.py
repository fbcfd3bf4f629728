"""A job followed to its end, through broken connections."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from typing import Any

from pydantic import ValidationError

from app.cli.backend import Backend, Where, opened
from app.cli.event_source import EventSource, ServerEvent
from app.cli.exits import AwayError, CommandError, ExitCode
from app.cli.interrupts import Patience, interrupted
from app.cli.progress import Show, progress_of_a_job
from app.cli.screen import say, show_json_line
from app.cli.showing import show_job
from app.models.job import JobStatus
from app.models.views import JobView

CODES = {
    JobStatus.COMPLETED: ExitCode.OK,
    JobStatus.FAILED: ExitCode.JOB_FAILED,
    JobStatus.DLQ: ExitCode.JOB_INCOMPLETE,
    JobStatus.NEEDS_TOKEN: ExitCode.NEEDS_TOKEN,
    JobStatus.CANCELLED: ExitCode.JOB_CANCELLED,
}
"""How watching ends when the job is in one of these states: the ends, and the one that somebody must help out of."""


def watch_job(where: Where, job_id: str, *, as_json: bool) -> ExitCode:
    """Show how the job goes on until it has ended or needs a token. Raises CommandError."""
    return asyncio.run(_watch(where, job_id, as_json=as_json))


async def _watch(where: Where, job_id: str, *, as_json: bool) -> ExitCode:
    async with opened(where) as backend:
        with nullcontext(_nothing) if as_json else progress_of_a_job() as show:
            watching = Watching(backend, job_id, show, show_json_line if as_json else _nothing)
            stopped = await interrupted(watching.run())
    if stopped:
        say(f"The job goes on without being watched. Look again: review-fetcher jobs watch {job_id}")
        return ExitCode.INTERRUPTED
    job = watching.job
    if not as_json:
        show_job(job)
    return CODES[job.status]


class Watching:
    """`show` gets the job whenever it changed, `tell` each event as it came. `job` is as it was told last."""

    def __init__(
        self,
        backend: Backend,
        job_id: str,
        show: Show,
        tell: Callable[[dict[str, Any]], None],
        patience: Patience | None = None,
    ) -> None:
        self._backend = backend
        self._job_id = job_id
        self._show = show
        self._tell = tell
        self._patience = patience or Patience()
        self._last_event_id: str | None = None
        self.job: JobView

    async def run(self) -> None:
        """Until the job has ended or needs a token."""
        self.job = await self._backend.job(self._job_id)
        self._patience.answered()
        self._show(self.job)
        while True:
            try:
                if await self._stream():
                    return
                raise AwayError("The stream of events ended before the job did.")
            except AwayError as error:
                await self._patience.wait(error)

    async def _stream(self) -> bool:
        """One connection; whether there is nothing more to wait for."""
        source = EventSource()
        async with aclosing(self._backend.events(self._job_id, self._last_event_id)) as chunks:
            async for chunk in chunks:
                self._patience.answered()
                events = source.feed(chunk)
                for event in events:
                    self._take(event)
                if events:  # together they tell how things stand: the first alone would show an end before its numbers
                    self._show(self.job)
                if self.job.status in CODES and self._last_event_id is not None:
                    break
        if self.job.status in CODES:
            self.job = await self._backend.job(self._job_id)
            self._show(self.job)
        return self.job.status in CODES

    def _take(self, event: ServerEvent) -> None:
        self._last_event_id = event.id
        self._tell(event._asdict())
        news = {"waiting": event.data if event.data.get("reason") else None} if event.event == "waiting" else event.data
        try:
            self.job = JobView.model_validate(self.job.model_dump(mode="json") | news)
        except ValidationError as error:
            raise CommandError("the answer is not one of this service: check the URL") from error


def _nothing(_value: object) -> None:
    """Nobody looks."""
