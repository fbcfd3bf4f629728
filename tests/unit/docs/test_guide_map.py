"""docs/guide-map.md: every part of the guide is where the page says."""

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.api.application import create_api
from app.config import Settings, load_settings, variables

PAGE = Path(__file__).resolve().parents[3] / "docs/guide-map.md"

NAMES = """
    AppState get_app_state _app_state create_app lifespan initialize_components start_background_tasks
    shutdown_background_tasks set_api_service deque_buffer event_publisher account_rate_limiter
    location_rate_limiter review_rate_limiter retry_scheduler account_worker location_worker review_worker
    api_service producer_loop retry_loop workers_loop gather return_exceptions Settings get_settings
    _settings_instance service_name version log_level mock_google_api ENVIRONMENT LOG_LEVEL MOCK_GOOGLE_API
    MOCK_KAFKA KafkaConfig RateLimitConfig RetryConfig DequeConfig bootstrap_servers consumer_group
    auto_offset_reset token_bucket_capacity refill_rate max_retries initial_backoff_ms max_backoff_ms
    backoff_multiplier max_size burst_check_interval_sec KAFKA_BOOTSTRAP_SERVERS KAFKA_CONSUMER_GROUP
    RATELIMIT_TOKEN_BUCKET_CAPACITY RATELIMIT_REFILL_RATE RETRY_MAX_RETRIES RETRY_INITIAL_BACKOFF_MS
    RETRY_MAX_BACKOFF_MS RETRY_BACKOFF_MULTIPLIER DEQUE_MAX_SIZE DEQUE_BURST_CHECK_INTERVAL_SEC JobStatus pending
    processing completed failed dlq ReviewFetchRequest access_token validate_token_format ReviewFetchResponse
    FetchAccountsEvent FetchLocationsEvent FetchReviewsEvent Account Location job_id account_id account_name
    location_id location_name created_at BoundedDequeBuffer enqueue dequeue_batch _queue _lock _metrics enqueued
    dequeued rejected max_size_hit get_load_percent RateLimiter TokenBucketLimiter capacity tokens last_refill
    acquire _refill ExponentialBackoffPolicy get_backoff_ms should_retry RetryScheduler RetryTask retry_queue heapq
    retry_at attempt message_id payload schedule_retry get_ready_tasks dlq_callback KafkaProducerBase
    KafkaProducerFactory MockKafkaProducer sent_messages is_connected connect AIokafkaProducer acks
    enable_idempotence compression_type send topic key message timestamp KafkaEventPublisher
    publish_fetch_accounts_event publish_fetch_locations_event publish_fetch_reviews_event publish_review
    fetch-accounts fetch-locations fetch-reviews reviews-raw APIService job_tracking validate_access_token
    create_fetch_job get_health HealthCheckResponse router submit_review_fetch get_api_service KafkaConsumerBase
    on_message is_running disconnect consume run start MockKafkaConsumer add_message AIokafkaConsumer
    enable_auto_commit max_poll_records AccountWorker LocationWorker ReviewWorker _on_message _setup_consumer
    rate_limiter google_api mock_mode seen_reviews nextPageToken GoogleAPIClient _get tenacity get_accounts
    get_locations get_reviews GoogleAPIError status_code httpx submit-job CORS
""".split()
"""Every class, function, attribute, setting, state and topic that the guide names."""


REFERENCE = re.compile(r"`([^`]+)`|\[\d{4}\]\(([^)]+)\)")
ENDPOINT = re.compile(r"(GET|POST|PUT) (/\S*) (\d{3})")
SETTING = re.compile(r"([A-Z][A-Z_]+)=(.+)")
OBJECT = re.compile(r"((?:app|tests)[\w.]+):([\w.]+)")


class Row(NamedTuple):
    """A row of a table: what the guide names, and the cell that says where it lives."""

    line: int
    part: str
    where: str


def read_rows() -> Iterator[Row]:
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] != "the guide" and set(cells[0]) != {"-"}:
            yield Row(number, cells[0], cells[1])


ROWS = list(read_rows())


@pytest.mark.parametrize("row", ROWS, ids=[f"line {row.line}" for row in ROWS])
def test_every_part_is_where_the_map_says(row: Row) -> None:
    references = [quoted or link for quoted, link in REFERENCE.findall(row.where)]
    assert references
    assert REFERENCE.sub("", row.where).strip() == ""
    for reference in references:
        assert holds(reference, row.part), reference


def holds(reference: str, part: str) -> bool:
    """Whether the reference leads to what it names."""
    if endpoint := ENDPOINT.fullmatch(reference):
        method, path, status = endpoint.groups()
        return status in document()["paths"][path][method.lower()]["responses"]
    if setting := SETTING.fullmatch(reference):
        return defaults()[setting[1]] == setting[2]
    if named := OBJECT.fullmatch(reference):
        found = resolve(*named.groups())
        return not isinstance(found, Enum) or f"`{found.value}`" in part
    return (PAGE.parent / reference).is_file()


def resolve(module: str, name: str) -> Any:
    found: Any = import_module(module)
    for attribute in name.split("."):
        fields = getattr(found, "model_fields", {})
        found = fields[attribute] if attribute in fields else getattr(found, attribute)
    return found


@cache
def document() -> dict[str, Any]:
    return create_api(version="1").openapi()


@cache
def defaults() -> dict[str, str]:
    """Every setting by the name of its variable, as it is when nothing is set."""
    settings = load_settings(_env_file=None)
    return {variable.name: shown(reduce(getattr, variable.path, settings)) for variable in variables(Settings)}


def shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_no_name_of_the_guide_is_missing() -> None:
    parts = " ".join(row.part for row in ROWS)
    assert [name for name in NAMES if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", parts)] == []


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("app.no_such_room:Thing", ModuleNotFoundError),
        ("app.state:NoSuchState", AttributeError),
        ("GET /api/v1/no-such-path 200", KeyError),
        ("NO_SUCH_SETTING=1", KeyError),
    ],
)
def test_a_row_that_leads_nowhere_is_seen(reference: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        holds(reference, "")


@pytest.mark.parametrize(
    "reference",
    ["GET /livez 418", "RETRY_MAX_RETRIES=4", "app.models.job:JobStatus.PENDING", "decisions/9999-none.md", "prose"],
)
def test_a_row_that_is_not_true_is_seen(reference: str) -> None:
    assert not holds(reference, "`processing`")
