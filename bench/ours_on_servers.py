"""The service on PostgreSQL and Kafka: `python -m bench.ours_on_servers URL DIRECTORY REVIEWS`.

From the POST until a `read_committed` consumer of reviews-raw has every review. All of them share the machine.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from app.config import load_settings
from app.lifecycle import calm_garbage_collector
from app.models.events import Topic
from app.state import AppState
from app.telemetry.logging import configure_logging
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks
from bench import servers
from bench.measure import Measure
from bench.ours import UNLIMITED, fetch

LOOK_SECONDS = 0.5
"""A look at the job is a transaction: seldom, beside a service that shares the machine."""


async def main(url: str, directory: str, reviews: str) -> None:
    configure_logging(level="WARNING")
    async with servers.place(Path(directory)) as stack:
        assert stack.kafka is not None
        settings = load_settings(_env_file=None, google_api_base_url=url, rate_limit=UNLIMITED, **stack.settings)
        state = await initialize_components(settings)
        await start_background_tasks(state)
        calm_garbage_collector()
        await _leading(state)
        topic = stack.kafka.topic_prefix + Topic.REVIEWS_RAW
        with servers.reader(",".join(stack.kafka.bootstrap_servers), topic, int(reviews)) as reading:
            measure = Measure()
            job = await fetch(state, LOOK_SECONDS)
            await servers.done(reading)
            measure.end(job.progress.reviews.fetched)
        await shutdown_background_tasks(state)
        if job.status != "completed":
            raise SystemExit(f"the job ended {job.status}: {job.message}")


async def _leading(state: AppState) -> None:
    """Until this process leads: a running service does."""
    leaders = (state.leaders.scheduler, state.leaders.publisher)
    for _ in range(60):
        if all(leader is not None and leader.leading for leader in leaders):
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise SystemExit("the service did not come to lead within 30 s")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
