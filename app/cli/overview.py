"""`review-fetcher overview`."""

from typing import TYPE_CHECKING

from app.cli.backend import Where, ask
from app.cli.options import ApiKey, Json, LocalTenant, Server
from app.cli.screen import say, show_facts, show_json, show_table
from app.models.access import DEFAULT_TENANT
from app.telemetry.redaction import clean

if TYPE_CHECKING:
    from app.models.overview import Overview

BARS = " ▁▂▃▄▅▆▇█"
"""A minute of the last hour is one character: a space for nothing, a full block for the busiest."""


def overview(
    *, tenant: LocalTenant = DEFAULT_TENANT, server: Server = None, api_key: ApiKey = None, as_json: Json = False
) -> None:
    """Show all work at a glance: of the local store (DATABASE_URL), or of a running service (--server).

    Jobs by state, what was done in the last hour, what waits and why. Times are UTC.
    """
    found = ask(Where(server, api_key, tenant), lambda backend: backend.overview())
    if as_json:
        show_json(found)
        return
    show_facts(facts_of(found))
    for job in found.waiting_jobs:
        say(f"{job.job_id} waits until {job.until:%H:%M:%S}: {clean(job.reason)}")
    if found.needs_token:
        rows = [
            (job.job_id, f"{job.since:%Y-%m-%d %H:%M:%S}", job.error and job.error.type) for job in found.needs_token
        ]
        show_table(("needs a token", "since", "cause"), rows)


def facts_of(found: "Overview") -> list[tuple[str, object]]:
    """What a person wants to know first; states without a job are left out."""
    jobs = ", ".join(f"{count:,} {status}" for status, count in found.jobs.items() if count)
    waits = found.oldest_waiting
    throttled = sum(minute.throttled for minute in found.activity)
    calls = sum(minute.calls for minute in found.activity)
    return [
        ("jobs", jobs or "none yet"),
        ("reviews a minute", f"{found.reviews_per_minute:,.0f}"),
        ("last hour", bars([minute.reviews for minute in found.activity]).strip() or "no reviews"),
        ("calls", f"{calls:,} in the last hour, {throttled:,} of them throttled"),
        ("oldest waiting", waits and f"{waits.seconds:,.0f} s: {waits.stage} of {waits.resource}, job {waits.job_id}"),
        ("dead letters", ", ".join(f"{one.count:,} {one.cause}" for one in found.dead_letters) or None),
        ("not published", found.unpublished and f"{found.unpublished.reviews:,} reviews"),
    ]


def bars(numbers: list[int]) -> str:
    """One character for each number, by its part of the largest; what is not zero is seen."""
    most = max(numbers, default=0)
    top = len(BARS) - 1
    return "".join(BARS[-(-number * top // most)] if number else BARS[0] for number in numbers)
