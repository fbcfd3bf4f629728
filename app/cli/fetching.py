"""One job from token to file, with the service's own parts and a store of its own beside the file."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.api.schemas import ReviewFetchRequest, TokenReplacement
from app.cli.exits import CommandError, ExitCode, UsageError
from app.cli.fetch_keys import mind_keys
from app.cli.files import is_there, write_whole
from app.cli.local import user_of_this_machine
from app.cli.progress import Show, progress_of_a_job
from app.cli.requests import NO_TOKEN, token_request
from app.cli.screen import say
from app.config import ConfigurationError, Settings, load_settings
from app.models.access import DEFAULT_TENANT
from app.models.job import ENDED, JobStatus
from app.models.views import DeadLetterFilter, JobView, RedriveRequest
from app.state import AppState
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks

POLL_SECONDS = 0.1

TOKEN_WAIT_SECONDS = 30 * 24 * 3600
"""How long an interrupted job can be taken up again; the longest that TOKEN_WAIT_SEC allows."""

STORE = "reviews.db"
_BASE_URL = "GOOGLE_API_BASE_URL:"
MOST_LETTERS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for. `token` None: go on with the one that the job has."""

    out: Path
    form: str
    token: str | None = field(repr=False)
    google_url: str | None = None
    mock: bool | None = None

    @property
    def directory(self) -> Path:
        """Where the unfinished job lives."""
        return self.out.with_name(f"{self.out.name}.state")


async def run_fetch(plan: Plan) -> ExitCode:
    """Start or go on, show progress, write the file. Raises CommandError."""
    settings = settings_of(plan)
    request = None if plan.token is None else token_request(ReviewFetchRequest, plan.token)
    if request is None and not is_there(plan.directory / STORE):
        raise UsageError(NO_TOKEN)
    _prepare(plan.directory, _source(settings))
    if (plan.directory / STORE).exists():
        await mind_keys(plan.directory / STORE, settings, new_token=request is not None)
    if settings.mock_google_api:
        say("Reviews come from the built-in simulator and are made up. For the real ones: --no-mock")
    async with _service(settings) as state:
        job = await _newest_job(state)
        job = await _begin(state, job, request)
        with progress_of_a_job() as show:
            job, interrupted = await _follow(state, job, show)
        return await _end(state, plan, job, interrupted=interrupted)


def settings_of(plan: Plan) -> Settings:
    """The user's settings, except for what makes it one job without a server."""
    chosen: dict[str, object] = {}
    if plan.mock is not None:
        chosen["mock_google_api"] = plan.mock
    if plan.google_url is not None:
        chosen |= {"google_api_base_url": plan.google_url, "mock_google_api": False}
    try:
        return load_settings(
            environment="development",
            database_url=f"sqlite:///{plan.directory / STORE}",
            api_keys=(),
            mock_kafka=True,
            roles="api,scheduler,accounts,locations,reviews,publisher",
            token_wait_sec=TOKEN_WAIT_SECONDS,
            validate_token_on_submit=False,
            **chosen,
        )
    except ConfigurationError as error:
        problem = next((text for text in error.problems if text.startswith(_BASE_URL)), None)
        if plan.google_url is None or problem is None:
            raise
        raise UsageError(problem.replace(_BASE_URL, "--google-url:", 1)) from None


def _source(settings: Settings) -> str:
    if settings.mock_google_api:
        return "the simulator"
    return settings.google_api_base_url or "googleapis.com"


def _prepare(directory: Path, source: str) -> None:
    """Page tokens of one Google mean nothing to another: an unfinished job stays with the one it began with."""
    note = directory / "source"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / STORE).exists():
            note.write_text(source, encoding="utf-8")
        began_with = note.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CommandError(f"cannot keep the job's state in {directory}: {error.strerror}") from error
    if began_with != source:
        raise UsageError(f"{directory} holds an unfinished job from {began_with}: go on with that, or remove it")


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[AppState]:
    state = await initialize_components(settings)
    try:
        yield state
    finally:
        await shutdown_background_tasks(state)


async def _newest_job(state: AppState) -> JobView | None:
    """The job to go on with. One that failed or was cancelled cannot: the next run is a new job."""
    page = await state.services.progress.jobs(DEFAULT_TENANT, None, 1, None)
    job = page.jobs[0] if page.jobs else None
    return None if job is None or job.status in (JobStatus.FAILED, JobStatus.CANCELLED) else job


async def _begin(state: AppState, job: JobView | None, request: ReviewFetchRequest | None) -> JobView:
    """Everything that must be so before the workers start, then start them."""
    services = state.services
    if job is None and request is None:
        raise UsageError(NO_TOKEN)
    if job is not None:
        job = await _take_up(state, job, request)
    await start_background_tasks(state)
    if job is None and request is not None:
        accepted = await services.api_service.create_fetch_job(request, by=user_of_this_machine())
        return await services.progress.job(DEFAULT_TENANT, accepted.job_id)
    if job is None:
        raise AssertionError("a job is taken up or made")
    return job


async def _take_up(state: AppState, job: JobView, request: ReviewFetchRequest | None) -> JobView:
    services, by = state.services, user_of_this_machine()
    say(f"Going on with job {job.job_id}: {job.progress.reviews.fetched} reviews are there.")
    if request is not None and job.status is not JobStatus.COMPLETED:
        replacement = TokenReplacement(access_token=request.access_token)
        job = await services.api_service.replace_token(replacement, DEFAULT_TENANT, job.job_id, by)
    if job.status is JobStatus.DLQ:
        again = RedriveRequest(filter=DeadLetterFilter(job_id=job.job_id))
        await services.dead_letters.redrive(DEFAULT_TENANT, again, by)
        job = await services.progress.job(DEFAULT_TENANT, job.job_id)
    return job


async def _follow(state: AppState, job: JobView, show: Show) -> tuple[JobView, bool]:
    """Until the job ends, needs a token, or a signal comes; the last view, and whether it was a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        while not (job.status in ENDED or job.status is JobStatus.NEEDS_TOKEN or stop.is_set()):
            show(job)
            await _pause(stop)
            job = await state.services.progress.job(DEFAULT_TENANT, job.job_id)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)  # a second Ctrl-C does not wait for the drain
    show(job)
    return job, job.status not in ENDED and stop.is_set()


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await stop.wait()
    except TimeoutError:
        pass


async def _end(state: AppState, plan: Plan, job: JobView, *, interrupted: bool) -> ExitCode:
    if interrupted:
        say("Stopping at the next page. Run the same command again to go on.")
        return ExitCode.INTERRUPTED
    if job.status is JobStatus.NEEDS_TOKEN:
        say(job.error.detail if job.error else "The access token is no longer accepted.")
        say(f"{job.progress.reviews.fetched} reviews are kept. Run the same command again with a new token to go on.")
        return ExitCode.NEEDS_TOKEN
    if job.progress.reviews.fetched or job.status is JobStatus.COMPLETED:
        await _export(state, plan, job)
    if job.status is JobStatus.DLQ:
        await _tell_dead_letters(state, job)
        return ExitCode.JOB_INCOMPLETE
    await asyncio.to_thread(shutil.rmtree, plan.directory, ignore_errors=True)
    if job.status is JobStatus.COMPLETED:
        return ExitCode.OK
    raise CommandError(job.error.detail if job.error else job.message, ExitCode.JOB_FAILED)


async def _tell_dead_letters(state: AppState, job: JobView) -> None:
    letters = await state.services.dead_letters.page(
        DEFAULT_TENANT, DeadLetterFilter(job_id=job.job_id), MOST_LETTERS, None
    )
    for letter in letters.items:
        what = letter.stage if letter.resource == letter.stage else f"{letter.stage} of {letter.resource}"
        say(f"Given up: {what}: {letter.detail}")
    if letters.next_cursor:
        say("… and more.")
    if not job.progress.reviews.fetched:
        say("Nothing was fetched, so there is no file yet.")
    say("Run the same command again to retry what was given up.")


async def _export(state: AppState, plan: Plan, job: JobView) -> None:
    export = state.services.export
    chunks = export.csv if plan.form == "csv" else export.ndjson
    await write_whole(plan.out, await chunks(DEFAULT_TENANT, job.job_id, by=user_of_this_machine()))
    unavailable = job.progress.locations.unavailable
    left_out = f" {unavailable} locations show no reviews." if unavailable else ""
    say(f"{job.progress.reviews.fetched} reviews of {job.progress.locations.found} locations in {plan.out}.{left_out}")
