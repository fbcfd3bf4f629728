"""What `/metrics` shows."""

import asyncio
import platform
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.models.pools import Pool
from app.telemetry import names
from app.telemetry.metrics import MOST_LABEL_VALUES, SNAPSHOT_SECONDS, Metrics
from app.telemetry.requests import Requests
from app.telemetry.scraped import DequeNumbers, ProcessNumbers, StoreNumbers
from tests.support.clock import ManualClock


def samples(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """(sample name, label values) → value."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.values())] = sample.value
    return found


class Store:
    """Counts how often it is asked; can be away."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = False

    async def read(self) -> StoreNumbers:
        self.reads += 1
        if self.away:
            raise OSError("away")
        return StoreNumbers(
            jobs={"processing": 2},
            tasks={("reviews", "waiting"): 7},
            runnable={"reviews": 5},
            runnable_seconds={"reviews": 61.0},
            tokens_expiring=3,
            quota_limit={("reviews", "minute"): 300.0},
            quota_left={("reviews", "minute"): 120.0},
            cooldown_seconds={"reviews": 3.5},
            unpublished=12,
            unpublished_seconds=1.5,
        )


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics()
    metrics.called("reviews", "ok", 0.2)
    metrics.called("reviews", "http_503", 0.2)
    metrics.settled(0.01, stored=50, duplicates=2)
    metrics.retried("http_503")
    metrics.dead_lettered("oversized", 3)
    metrics.loop_restarted("scheduler")
    metrics.committed(8)
    metrics.first_review(1.5)
    metrics.called("reviews", "rateLimitExceeded", 0.1, throttled=True)
    metrics.job_ended("completed", 40.0)
    metrics.lacked_token("token_expired")
    metrics.published(50)
    shown = samples(metrics.render())
    assert shown["review_fetcher_google_calls_total", ("reviews", "ok")] == 1
    assert shown["review_fetcher_google_calls_total", ("reviews", "http_503")] == 1
    assert shown["review_fetcher_google_call_seconds_count", ("reviews",)] == 3
    assert shown["review_fetcher_google_throttled_total", ("reviews",)] == 1
    assert shown["review_fetcher_job_seconds_sum", ("completed",)] == 40
    assert shown["review_fetcher_token_problems_total", ("token_expired",)] == 1
    assert shown["review_fetcher_reviews_published_total", ()] == 50
    assert shown["review_fetcher_settle_seconds_count", ()] == 1
    assert shown["review_fetcher_reviews_stored_total", ()] == 50
    assert shown["review_fetcher_duplicates_dropped_total", ()] == 2
    assert shown["review_fetcher_retries_total", ("http_503",)] == 1
    assert shown["review_fetcher_dead_letters_total", ("oversized",)] == 3
    assert shown["review_fetcher_loop_restarts_total", ("scheduler",)] == 1
    assert shown["review_fetcher_store_commits_total", ()] == 1
    assert shown["review_fetcher_store_commit_units_sum", ()] == 8
    assert shown["review_fetcher_first_review_seconds_sum", ()] == 1.5


async def test_what_the_store_and_the_buffer_know_is_read_when_scraped() -> None:
    metrics = Metrics(ManualClock())
    metrics.watch_store(Store().read)
    metrics.watch_deque(lambda: DequeNumbers(12.5, {"enqueued": 4, "rejected": 1}))
    shown = samples(await metrics.scrape())
    assert shown["review_fetcher_jobs", ("processing",)] == 2
    assert shown["review_fetcher_tasks", ("reviews", "waiting")] == 7
    assert shown["review_fetcher_runnable_tasks", ("reviews",)] == 5
    assert shown["review_fetcher_oldest_runnable_task_seconds", ("reviews",)] == 61
    assert shown["review_fetcher_tokens_expiring", ()] == 3
    assert shown["review_fetcher_quota_limit", ("reviews", "minute")] == 300
    assert shown["review_fetcher_quota_used", ("reviews", "minute")] == 180
    assert shown["review_fetcher_quota_left", ("reviews", "minute")] == 120
    assert shown["review_fetcher_cooldown_seconds", ("reviews",)] == 3.5
    assert shown["review_fetcher_unpublished_reviews", ()] == 12
    assert shown["review_fetcher_unpublished_age_seconds", ()] == 1.5
    assert shown["review_fetcher_deque_load_percent", ()] == 12.5
    assert shown["review_fetcher_deque_items_total", ("rejected",)] == 1
    assert shown["review_fetcher_store_readable", ()] == 1


async def test_what_the_process_knows_of_itself_is_read_when_scraped() -> None:
    metrics = Metrics(ManualClock(), "1.2.3")
    metrics.watch_process(
        lambda: ProcessNumbers(
            pools={"google": Pool(3, 0, 56)},
            leaders={"scheduler": True, "publisher": False},
            loops={"retry_loop": False},
            unsent={"work": 4},
        )
    )
    metrics.swept("housekeeping")
    shown = samples(await metrics.scrape())
    assert shown["review_fetcher_pool_in_use", ("google",)] == 3
    assert shown["review_fetcher_pool_size", ("google",)] == 56
    assert shown["review_fetcher_leader", ("scheduler",)] == 1
    assert shown["review_fetcher_leader", ("publisher",)] == 0
    assert shown["review_fetcher_loop_healthy", ("retry_loop",)] == 0
    assert shown["review_fetcher_kafka_unsent_messages", ("work",)] == 4
    assert shown["review_fetcher_build_info", (platform.python_version(), "1.2.3")] == 1
    assert shown["review_fetcher_sweep_last_success_timestamp_seconds", ("housekeeping",)] == ManualClock().now()
    assert shown["review_fetcher_asyncio_tasks", ()] >= 1


async def test_how_late_the_event_loop_is_is_seen_once_a_second() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    watching = asyncio.create_task(metrics.watch_event_loop())
    await clock.advance(1.0)
    clock.skip(1.4)
    await clock.advance(0.0)
    watching.cancel()
    shown = samples(metrics.render())
    assert shown["review_fetcher_event_loop_lag_seconds_count", ()] == 2
    assert shown["review_fetcher_event_loop_lag_seconds_bucket", ("0.25",)] == 1
    assert shown["review_fetcher_event_loop_lag_seconds_bucket", ("0.5",)] == 2


async def test_many_scrapes_cost_one_read_of_the_store() -> None:
    clock, store = ManualClock(), Store()
    metrics = Metrics(clock)
    metrics.watch_store(store.read)
    await asyncio.gather(*(metrics.scrape() for _ in range(20)))
    assert store.reads == 1
    await clock.advance(SNAPSHOT_SECONDS)
    await metrics.scrape()
    assert store.reads == 2


async def test_a_store_that_is_away_takes_its_numbers_off_the_page_and_nothing_else() -> None:
    clock, store = ManualClock(), Store()
    metrics = Metrics(clock)
    metrics.watch_store(store.read)
    metrics.retried("timeout")
    await metrics.scrape()
    store.away = True
    await clock.advance(SNAPSHOT_SECONDS)
    shown = samples(await metrics.scrape())
    assert shown["review_fetcher_store_readable", ()] == 0
    assert ("review_fetcher_jobs", ("processing",)) not in shown
    assert shown["review_fetcher_retries_total", ("timeout",)] == 1


def test_words_of_a_stranger_cannot_grow_the_memory() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.called("reviews", f"reason-{number}", 0.1)
    shown = [labels for name, labels in samples(metrics.render()) if name == "review_fetcher_google_calls_total"]
    assert len(shown) == MOST_LABEL_VALUES + 1
    assert ("reviews", "other") in shown


def test_words_of_one_metric_leave_room_for_those_of_another() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.called("reviews", f"reason-{number}", 0.1)
    metrics.dead_lettered("oversized")
    assert samples(metrics.render())["review_fetcher_dead_letters_total", ("oversized",)] == 1


async def test_a_sweep_that_never_went_through_is_awaited_since_its_first_turn() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    swept = "review_fetcher_sweep_last_success_timestamp_seconds"
    assert (swept, ("erasing",)) not in samples(metrics.render())
    metrics.sweep_is_due("erasing")
    began = clock.now()
    await clock.advance(60.0)
    metrics.sweep_is_due("erasing")
    assert samples(metrics.render())[swept, ("erasing",)] == began
    metrics.swept("erasing")
    metrics.sweep_is_due("erasing")
    assert samples(metrics.render())[swept, ("erasing",)] == began + 60


def test_a_label_value_is_a_plain_word() -> None:
    metrics = Metrics()
    metrics.retried('a"}\n1 # HELP' + "x" * 500)
    ((value,),) = [labels for name, labels in samples(metrics.render()) if name == "review_fetcher_retries_total"]
    assert re.fullmatch(r"[\w.\-]{1,64}", value)


def test_two_services_in_one_process_do_not_share_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.settled(0.1, stored=5)
    assert samples(other.render())["review_fetcher_reviews_stored_total", ()] == 0


@pytest.mark.parametrize("declared", names.ALL, ids=lambda declared: declared.name)
def test_every_name_is_declared_once_and_explained(declared: names.Declared) -> None:
    assert [other.name for other in names.ALL].count(declared.name) == 1
    assert declared.help.endswith(".") or ";" in declared.help
    assert bool(declared.buckets) == (declared.kind == "histogram")


async def test_every_declared_name_is_on_the_page() -> None:
    metrics = Metrics(ManualClock())
    metrics.watch_store(Store().read)
    metrics.watch_deque(lambda: DequeNumbers(0.0, {"enqueued": 0}))
    metrics.watch_process(ProcessNumbers)
    metrics.watch_requests(Requests())
    page = (await metrics.scrape()).decode()
    assert [name.name for name in names.ALL if f"# HELP {name.name}" not in page] == []
