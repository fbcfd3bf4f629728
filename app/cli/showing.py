"""Jobs as commands show them to people."""

from typing import TYPE_CHECKING

from app.cli.progress import lasting
from app.cli.screen import say_cursor, show_facts, show_table
from app.models.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.models.locations import Reconciliation
    from app.models.overview import AccountList
    from app.models.views import Estimate, JobList, JobView, LocationList, TokenView
    from app.models.webhooks import WebhookView

KEEPS_NO_TOKEN = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
JOB_COLUMNS = ("job", "state", "created", "reviews", "locations", "calls")
ACCOUNT_COLUMNS = ("account", "title", "state", "locations", "unavailable", "reviews", "on Google")
LOCATION_COLUMNS = ("location", "title", "state", "reviews", "on Google", "why not all")


def show_job(job: "JobView") -> None:
    """One job, a fact a line."""
    show_facts(facts_of(job))


def show_jobs(page: "JobList") -> None:
    """A line for each job."""
    show_table(JOB_COLUMNS, [_row(job) for job in page.jobs])
    say_cursor(page.next_cursor)


def show_accounts(page: "AccountList") -> None:
    """A line for each account of a page."""
    rows = [
        (
            item.account,
            item.title,
            item.state,
            f"{item.locations.done}/{item.locations.found}",
            item.locations.unavailable,
            item.reviews.fetched,
            item.reviews.expected,
        )
        for item in page.accounts
    ]
    show_table(ACCOUNT_COLUMNS, rows)
    say_cursor(page.next_cursor)


def show_locations(page: "LocationList") -> None:
    """A line for each location of a page."""
    rows = [
        (item.location, item.title, item.state, item.fetched, item.totals.total, item.gap_reason)
        for item in page.locations
    ]
    show_table(LOCATION_COLUMNS, rows)
    say_cursor(page.next_cursor)


def show_reconciliation(found: "Reconciliation") -> None:
    """Whether anything is missing, and where it went."""
    show_facts(
        [
            ("everything is there", "yes" if found.whole else "no"),
            ("locations", found.locations),
            ("complete", found.complete),
            ("with a gap", found.with_gap),
            ("unavailable", found.unavailable),
            ("dead", found.dead),
            ("waiting", found.waiting),
            ("accounts not listed", found.unlisted_accounts),
            ("reviews", f"{found.fetched} of {found.expected}"),
            ("missing", found.missing),
            ("surplus", found.surplus),
        ]
    )


def show_webhooks(messages: "Sequence[WebhookView]") -> None:
    """A line for each message to a callback."""
    rows = [
        (
            item.id,
            item.event,
            item.status,
            item.attempts,
            item.answered,
            item.last_error,
            item.next_attempt_at and f"{item.next_attempt_at:%F %T}",
        )
        for item in messages
    ]
    show_table(("id", "event", "state", "attempts", "answered", "error", "next attempt"), rows)


def facts_of(job: "JobView") -> list[tuple[str, object]]:
    """What a person wants to know of a job, in order."""
    progress = job.progress
    waiting = job.waiting and f"{job.waiting.reason} (until {job.waiting.until:%H:%M:%S} UTC)"
    return [
        ("job", job.job_id),
        ("state", job.status),
        ("", job.message),
        ("waiting for", waiting),
        ("done", job.estimate and _estimated(job.estimate)),
        ("token", None if job.status in KEEPS_NO_TOKEN else job.token and _token(job.token)),
        ("warning", job.token and job.token.warning),
        ("error", job.error and f"{job.error.title}: {job.error.detail}"),
        ("created", job.created_at.isoformat(timespec="seconds")),
        ("finished", job.finished_at and job.finished_at.isoformat(timespec="seconds")),
        ("accounts", f"{progress.accounts.done} of {progress.accounts.found}"),
        ("locations", f"{progress.locations.done} of {progress.locations.found}{_unavailable(job)}"),
        ("reviews", f"{progress.reviews.fetched} of {progress.reviews.expected}"),
        ("duplicates dropped", progress.reviews.duplicates),
        ("calls", progress.calls),
        ("tasks", f"{progress.tasks.open} open, {progress.tasks.done} done, {progress.tasks.dead} dead"),
    ]


def _estimated(estimate: "Estimate") -> str:
    why = "Google's quota" if estimate.limited_by == "quota" else "the speed of pages"
    return f"in about {lasting(estimate.seconds_left)}: {estimate.calls_left} calls left, limited by {why}"


def _token(token: "TokenView") -> str | None:
    """How long it is good for."""
    if token.refreshable:
        return "renewed by the service itself"
    if token.expires_at is None or token.seconds_left is None:
        return None
    left = f"{lasting(token.seconds_left)} left" if token.seconds_left else "over"
    return f"good until {token.expires_at:%Y-%m-%d %H:%M:%S} UTC, {left}"


def _unavailable(job: "JobView") -> str:
    count = job.progress.locations.unavailable
    return f", {count} unavailable" if count else ""


def _row(job: "JobView") -> tuple[object, ...]:
    progress = job.progress
    locations = f"{progress.locations.done}/{progress.locations.found}"
    created = job.created_at.isoformat(sep=" ", timespec="seconds")
    return (job.job_id, job.status, created, progress.reviews.fetched, locations, progress.calls)
