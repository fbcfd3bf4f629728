"""The demonstration: a real server on a free port, and a client that does what any client would."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from app.api.schemas import ReviewFetchRequest
from app.cli.exits import CommandError, ExitCode
from app.cli.files import write_whole
from app.cli.progress import progress_of_a_job
from app.cli.remote import Service
from app.cli.screen import say, show_facts
from app.cli.serve import listen
from app.cli.server import config_of, url_of
from app.cli.showing import facts_of
from app.config import RateLimitConfig, Settings, SimulatorConfig, load_settings
from app.models.job import ENDED, JobStatus
from app.models.review_filter import EVERYTHING
from app.models.views import JobView

POLL_SECONDS = 0.1
TOKEN = "ya29.demonstration"  # noqa: S105 - the simulator takes any


@dataclass(frozen=True, slots=True)
class Demo:
    """The simulated world, the calls a second that the service allows itself (0: all), and the file to write."""

    world: SimulatorConfig
    per_second: int
    out: Path
    form: str


class _Server(uvicorn.Server):
    """Leaves Ctrl-C to the demonstration, which stops the client and then the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by `serve`. SystemExit out of a task would tear the loop down before `_started` tells what failed."""
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True


async def run_demo(demo: Demo) -> ExitCode:
    """Start, submit, follow, download, stop."""
    with tempfile.TemporaryDirectory(prefix="review-fetcher-demo-", ignore_cleanup_errors=True) as directory:
        async with _running(_settings(demo, Path(directory))) as url, Service(url) as service:
            say(f"The service answers at {url}, and fetches from a simulated Google.")
            began = time.monotonic()
            request = ReviewFetchRequest(access_token=SecretStr(TOKEN))
            job_id = (await service.submit(request, None)).job_id
            say(f"POST {url}/api/v1/review-fetch → 202, job {job_id}")
            job = await _follow(service, job_id)
            seconds = time.monotonic() - began
            await write_whole(demo.out, service.reviews(job_id, demo.form, EVERYTHING))
    _tell(job, seconds, demo.out)
    return ExitCode.OK if job.status is JobStatus.COMPLETED else ExitCode.JOB_INCOMPLETE


def _settings(demo: Demo, directory: Path) -> Settings:
    """Nothing of the user's own configuration: the demonstration is the same everywhere."""
    limits = RateLimitConfig(
        token_bucket_capacity=demo.per_second, refill_rate=max(1, demo.per_second), per_minute=0, per_day=0
    )
    return load_settings(
        _env_file=None,
        environment="development",
        log_level="ERROR",
        database_url=f"sqlite:///{directory / 'store.db'}",
        api_keys=(),
        token_sealing_keys=(),
        google_api_base_url="",
        mock_google_api=True,
        mock_kafka=True,
        quota_reserve_percent=0,
        validate_token_on_submit=False,
        crash_at="",
        simulator=demo.world,
        rate_limit=limits,
    )


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[str]:
    """The service on a free port; its URL, once it answers."""
    listening = listen("127.0.0.1", 0)
    server = _Server(config_of(settings))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await _started(server, serving)
        yield url_of(listening)
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def _started(server: uvicorn.Server, serving: "asyncio.Task[None]") -> None:
    """uvicorn has no event for it."""
    while not server.started:
        await asyncio.wait([serving], timeout=0.01)
        if serving.done():
            raise CommandError("the service did not start: the lines above say why")


async def _follow(service: Service, job_id: str) -> JobView:
    with progress_of_a_job() as show:
        while True:
            job = await service.job(job_id)
            show(job)
            if job.status in ENDED:
                return job
            await asyncio.sleep(POLL_SECONDS)


def _tell(job: JobView, seconds: float, out: Path) -> None:
    rate = job.progress.reviews.fetched / seconds if seconds else 0
    speed = ("time", f"{seconds:.1f} s, {rate:,.0f} reviews a second under the quota")
    show_facts([*facts_of(job), speed, ("file", out)])
