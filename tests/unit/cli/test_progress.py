"""A job's progress in words."""

from datetime import UTC, datetime

from app.cli.progress import LINE_SECONDS, PlainLines, describe
from app.models.job import JobStatus
from app.models.views import (
    AccountsProgress,
    JobView,
    LocationsProgress,
    Progress,
    ReviewsProgress,
    TasksProgress,
    Waiting,
)
from tests.support.clock import ManualClock

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def job(status: JobStatus = JobStatus.PROCESSING, fetched: int = 0, *, dead: int = 0, reason: str = "") -> JobView:
    return JobView(
        job_id="job-1",
        status=status,
        message="",
        created_at=NOW,
        updated_at=NOW,
        finished_at=None,
        progress=Progress(
            accounts=AccountsProgress(found=2, done=1),
            locations=LocationsProgress(found=12, done=3, unavailable=0),
            reviews=ReviewsProgress(fetched=fetched, duplicates=0, expected=600),
            calls=8,
            tasks=TasksProgress(open=1, done=0, dead=dead),
        ),
        waiting=Waiting(reason=reason, until=NOW) if reason else None,
        error=None,
    )


def test_one_line_says_how_far_a_job_is() -> None:
    assert describe(job(fetched=150)) == "accounts 1/2 · locations 3/12 · reviews 150/600 · calls 8"


def test_it_says_what_the_job_waits_for_and_what_died() -> None:
    line = describe(job(dead=1, reason="quota\nof Google"))
    assert line.endswith(r"dead 1 · waiting until 00:00:00 UTC: quota\nof Google")


async def test_lines_are_written_when_the_state_changes_and_now_and_then_otherwise() -> None:
    clock, lines = ManualClock(), list[str]()
    show = PlainLines(lines.append, clock.monotonic)
    show(job(fetched=1))
    show(job(fetched=2))
    assert len(lines) == 1
    await clock.advance(LINE_SECONDS)
    show(job(fetched=3))
    show(job(fetched=4, reason="quota"))
    show(job(JobStatus.COMPLETED, fetched=5))
    assert [line.partition("reviews ")[2][0] for line in lines] == ["1", "3", "4", "5"]


async def test_what_stays_the_same_is_not_repeated() -> None:
    clock, lines = ManualClock(), list[str]()
    show = PlainLines(lines.append, clock.monotonic)
    show(job(fetched=1))
    await clock.advance(10 * LINE_SECONDS)
    show(job(fetched=1))
    assert len(lines) == 1
