"""Rules and dashboards against a service that runs, asked by a real Prometheus; and alerts in a rehearsal."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import pytest

from monitoring.__main__ import DASHBOARDS
from monitoring.alerts import ALERTS
from monitoring.objectives import COULD_RUN, OBJECTIVES
from monitoring.promql import Named, concrete, grouping_of, metrics_of
from monitoring.recording import RECORDINGS
from tests.support.prometheus import Prometheus, promtool, running_prometheus
from tests.support.replicas import published
from tests.support.service import JOBS, Service, Site, eventually, site
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(300)]

TOKEN = "ya29.token-of-a-walk-that-is-watched"
EXPIRED = "ya29.token-that-ends-while-it-walks"
WORLD = ("--accounts", "1", "--locations", "8", "--reviews", "120")

BAD_DAY = [
    {"fault": "rate_limited", "api": "reviews", "times": 1, "retry_after": 1},
    {"fault": "failure", "api": "reviews", "after": 4, "times": 2},
    {"fault": "distort", "what": "oversized", "api": "reviews", "count": 1, "after": 10, "times": 3},
    {"fault": "overlap", "api": "reviews", "count": 5},
]
"""Retries, dead letters, a closed budget, reviews that are listed twice."""

WINDOWS = {
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": "1000",
    "RATELIMIT_REFILL_RATE": "1000",
    "RATELIMIT_PER_MINUTE": "100000",
    "RATELIMIT_PER_DAY": "1000000",
}

WRONG = [
    "max(review_fetcher_nonsense)",
    "sum by (colour) (review_fetcher_jobs)",
    'review_fetcher_jobs{shape="round"}',
    'review_fetcher_jobs{status=~"paused|posed"}',
    'review_fetcher_http_requests_total{route!="/renamed"}',
]
WHAT_IS_WRONG = [
    "no series: review_fetcher_nonsense",
    "review_fetcher_jobs has no label colour",
    "review_fetcher_jobs has no label shape",
    'no series: review_fetcher_jobs{status="posed"}',
    'no series: review_fetcher_http_requests_total{route="/renamed"}',
]

FIRES_WITHIN_SECONDS = 120.0
"""What is promised. Looked at each second: the lease of 3 s and the alert's 30 s, which begin anew when a scrape took
longer than a second."""


@contextmanager
def watched(servers: Stack, *roles: str, **settings: str) -> Iterator[tuple[str, Site, list[Service]]]:
    """A process for each of `roles` ("" = all), all begun together; with their Google and where they are."""
    with ExitStack() as stack:
        google = stack.enter_context(simulator_process(*WORLD))
        control(google, "PUT", "faults", {"rules": BAD_DAY})
        place = stack.enter_context(site(servers.directory, google, **servers.environment, **settings))
        processes = [place.launch(**({"ROLES": names} if names else {})) for names in roles]
        yield google, place, [process.started() for process in processes]


async def test_every_query_is_about_metrics_and_labels_that_a_running_service_has(servers: Stack) -> None:
    def watch() -> None:
        with (
            watched(servers, "", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8", **WINDOWS) as (google, _, (service,)),
            running_prometheus(servers.directory / "prometheus", [service]) as prometheus,
        ):
            eventually(lambda: prometheus.value('up{job="review-fetcher"} == 1'), 30, "a scrape")
            much_happens(google, service)
            wait_for_every_series(prometheus)
            assert missing(prometheus, all_expressions()) == []
            assert missing(prometheus, WRONG) == WHAT_IS_WRONG
            for counted in (
                "reviews_published_total",
                "duplicates_dropped_total",
                "job_seconds_count",
                "store_commits_total",
            ):
                query = f"sum(review_fetcher_{counted}) > 0"
                eventually(partial(prometheus.value, query), 30, counted, 0.5)
            checked = promtool("check", "metrics", text=service.get("/metrics").body.decode())
            assert (checked.returncode, checked.stderr + checked.stdout) == (0, "")
            eventually(lambda: published(servers), 30, "an empty outbox")

    await asyncio.to_thread(watch)


def much_happens(google: str, service: Service) -> None:
    """Jobs that end well and badly, one that loses its token, a callback, a stranger."""
    callback = f"{service.url}/a-callback-that-is-not-there"
    for _ in range(2):
        answer = service.request("POST", JOBS, {"access_token": TOKEN, "callback_url": callback})
        job_id = answer.json()["job_id"]
        assert service.job_ended(job_id)["status"] in ("completed", "dlq")
        assert service.get(f"{JOBS}/{job_id}/events").status == 200
    control(google, "PUT", "faults", {"rules": [{"fault": "expired_token", "api": "reviews", "after": 3}]})
    job_id = service.submit(EXPIRED)
    eventually(lambda: service.job(job_id)["status"] == "needs_token", 30, "a job that needs a token")
    assert service.get("/nothing/is/here").status == 404
    service.submit(TOKEN)


def wait_for_every_series(prometheus: Prometheus) -> None:
    """Or for as long as the last should need; what lacks then is told by who looks."""
    with suppress(AssertionError):
        eventually(lambda: not missing(prometheus, all_expressions()), 20, "every series", every=1.0)


def all_expressions() -> list[str]:
    """Of rules, objectives and panels."""
    rules = [recording.expression for recording in RECORDINGS] + [alert.expression for alert in ALERTS]
    rules += [COULD_RUN, *(objective.query for objective in OBJECTIVES)]
    return [*rules, *(expression for dashboard in DASHBOARDS for expression in dashboard.expressions())]


def missing(prometheus: Prometheus, expressions: Iterable[str]) -> list[str]:
    """What the expressions name and the running service does not have. An expression that is none fails."""
    problems: dict[str, None] = {}
    for expression in map(concrete, expressions):
        prometheus.get("query", query=expression)
        for named in metrics_of(expression):
            problems |= dict.fromkeys(lacking(prometheus, named, grouping_of(expression)))
    return list(problems)


def lacking(prometheus: Prometheus, named: Named, grouping: frozenset[str]) -> list[str]:
    """Labels of the metric, or series of what its selector asks for."""
    found = prometheus.labels_of(named.metric)
    labels = sorted((named.labels | grouping) - found) if found else []
    if labels:
        return [f"{named.metric} has no label {label}" for label in labels]
    return [f"no series: {selector}" for selector in named.each() if not prometheus.labels_of(selector)]


EVERYTHING_ELSE = "api,scheduler,accounts,locations,reviews"
LEADS = 'max by (role) (review_fetcher_leader{role="publisher"}) == 1'


async def test_the_alert_of_a_frozen_publisher_fires_in_time_and_ends_when_it_wakes(servers: Stack) -> None:
    def rehearse() -> None:
        with (
            watched(servers, EVERYTHING_ELSE, "publisher") as (_, _, (service, publisher)),
            running_prometheus(servers.directory / "prometheus", [service, publisher]) as prometheus,
        ):
            eventually(lambda: prometheus.value(LEADS), 30, "a scrape of the leader")
            service.job_ended(service.submit(TOKEN))
            assert "ReviewFetcherNoLeader" not in prometheus.firing()
            os.kill(publisher.pid, signal.SIGSTOP)
            eventually(lambda: "ReviewFetcherNoLeader" in prometheus.firing(), FIRES_WITHIN_SECONDS, "the alert", 0.5)
            os.kill(publisher.pid, signal.SIGCONT)
            eventually(lambda: "ReviewFetcherNoLeader" not in prometheus.firing(), 60, "the end of the alert", 0.5)
            eventually(lambda: published(servers), 30, "an empty outbox")

    await asyncio.to_thread(rehearse)


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_the_promised_times_hold_for_a_killed_publisher(
    servers: Stack, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """As in production: looks 15 s apart, nobody takes over. What each alert promises is in its section."""
    promised = {
        "ReviewFetcherNoLeader": 120.0,
        "ReviewFetcherReplicaDown": 120.0,
        "ReviewFetcherPublishingStalled": 180.0,
    }

    def rehearse() -> None:
        with (
            watched(servers, EVERYTHING_ELSE, "publisher") as (google, place, (service, publisher)),
            running_prometheus(servers.directory / "p", [service, publisher], interval="15s") as prometheus,
        ):
            eventually(lambda: prometheus.value(LEADS), 60, "a scrape of the leader")
            assert prometheus.firing() == set()
            publisher.kill()
            killed = time.monotonic()
            control(google, "PUT", "faults", {"rules": []})
            service.submit(TOKEN)
            for alert, seconds in promised.items():
                eventually(partial(_fires, prometheus, alert), seconds - (time.monotonic() - killed), alert, 0.5)
                record_testsuite_property(alert, f"{time.monotonic() - killed:.0f} s after the kill")
            place.start(ROLES="publisher")
            eventually(lambda: published(servers), 30, "an empty outbox")

    await asyncio.to_thread(rehearse)


def _fires(prometheus: Prometheus, alert: str) -> bool:
    return alert in prometheus.firing()
