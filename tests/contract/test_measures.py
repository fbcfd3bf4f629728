"""What metrics ask of the store, over every database."""

from app.models.job import JobStatus, TaskStatus
from app.store.database import Database
from app.store.measures import COUNTED_UP_TO, jobs_by_state, tasks_by_stage_and_state
from app.telemetry import names
from tests.support.jobs import in_state
from tests.support.store import job_with_tasks, plans


async def test_metrics_count_jobs_by_state_and_tasks_by_stage(database: Database) -> None:
    for status in (JobStatus.COMPLETED, JobStatus.DLQ, JobStatus.PROCESSING, JobStatus.PENDING, JobStatus.PENDING):
        await in_state(database, status)
    counted = await database.read(jobs_by_state)
    assert {status: number for status, number in counted.items() if number} == {
        "completed": 1,
        "dlq": 1,
        "processing": 1,
        "pending": 2,
    }
    assert await database.read(tasks_by_stage_and_state) == {
        ("accounts", TaskStatus.WAITING): 2,
        ("reviews", TaskStatus.HELD): 1,
        ("reviews", TaskStatus.DEAD): 2,
    }


async def test_what_may_be_millions_is_counted_so_far_and_no_further(database: Database) -> None:
    await job_with_tasks(database, waiting=7, held=6, released=5)
    assert await database.read(tasks_by_stage_and_state, 4) == {
        ("accounts", TaskStatus.WAITING): 1,
        ("reviews", TaskStatus.WAITING): 4,
        ("reviews", TaskStatus.HELD): 6,
        ("reviews", TaskStatus.RELEASED): 5,
    }
    assert f"up to {COUNTED_UP_TO:,}" in names.TASKS.help


async def test_tasks_that_are_done_cost_a_scrape_nothing(database: Database) -> None:
    await job_with_tasks(database, waiting=50, held=20, released=20, done=5000)
    many, out = await database.write(plans, tasks_by_stage_and_state)
    assert "ix_tasks_waiting" in many
    assert "ix_tasks_out" in out
    assert "Seq Scan on tasks" not in many + out
