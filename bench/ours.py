"""The service itself, all of it but the HTTP server in front: `python -m bench.ours URL DIRECTORY`."""

import asyncio
import sys

import uvloop

from app.api.schemas import ReviewFetchRequest
from app.config import load_settings
from app.lifecycle import calm_garbage_collector
from app.models.access import DEFAULT_TENANT
from app.models.job import ENDED
from app.models.views import JobView
from app.state import AppState
from app.telemetry.logging import configure_logging
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks
from bench.measure import TOKEN, Measure, scratch

LOOK_SECONDS = 0.05
UNLIMITED = {"token_bucket_capacity": 0, "per_minute": 0, "per_day": 0}


async def main(url: str, directory: str) -> None:
    configure_logging(level="WARNING")
    settings = load_settings(
        _env_file=None,
        database_url=f"sqlite:///{scratch(directory)}/store.db",
        google_api_base_url=url,
        rate_limit=UNLIMITED,
    )
    state = await initialize_components(settings)
    await start_background_tasks(state)
    calm_garbage_collector()
    measure = Measure()
    job = await fetch(state)
    measure.end(job.progress.reviews.fetched)
    await shutdown_background_tasks(state)
    if job.status != "completed":
        raise SystemExit(f"the job ended {job.status}: {job.message}")


async def fetch(state: AppState, look_seconds: float = LOOK_SECONDS) -> JobView:
    """One job, from its POST to its end."""
    request = ReviewFetchRequest.model_validate({"access_token": TOKEN})
    accepted = await state.services.api_service.create_fetch_job(request)
    while True:
        job = await state.services.progress.job(DEFAULT_TENANT, accepted.job_id)
        if job.status in ENDED:
            return job
        await asyncio.sleep(look_seconds)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
