"""Settings translated into the values that rooms take."""

from collections.abc import Callable
from pathlib import Path

from app.api.attempts import FailedAttempts
from app.api.authenticator import Authenticator, parse_api_keys
from app.api.surface import Surface
from app.broker.connection import KafkaConnection, TopicLayout
from app.clock import Clock
from app.config import KafkaConfig, Settings
from app.credentials import SealingKey, load_or_create_key
from app.limits.permits import Api
from app.limits.rules import Limits
from app.models.limits import SubmitLimits
from app.models.settlement import SettleOptions
from app.pipeline.tools import WorkerOptions
from app.retry.policy import ExponentialBackoffPolicy
from app.store.database import Database
from app.store.release import Window

WINDOW_PER_SLOT = 4
"""Released and not yet claimed tasks, for each task that a stage works on at once: the next are at hand, and of one
job no more than one for each: work of another job finds its place among them at once."""

SHARED_WINDOW_PER_SLOT = 8
"""The same over Kafka, where a pass of the scheduler is dearer and partitions are filled unevenly: twice as many at
hand, of one job half of them. Within a process jobs take turns all the same."""

ENVELOPE_BYTES = 100_000
"""Names, keys and times around a review; ample."""


def window_of(settings: Settings) -> Window:
    """How many tasks may be out, by what one process works on: release() grows it with what all of them hold."""
    slots = settings.worker_concurrency
    if settings.mock_kafka:
        return Window(total=WINDOW_PER_SLOT * slots, per_job=slots)
    return Window(total=SHARED_WINDOW_PER_SLOT * slots, per_job=SHARED_WINDOW_PER_SLOT * slots // 2)


def kafka_connection(kafka: KafkaConfig) -> KafkaConnection:
    """What is set of the way in, by librdkafka's names."""
    security = {
        "security.protocol": kafka.security_protocol,
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
        "ssl.key.password": kafka.ssl_key_password.get_secret_value(),
    }
    if kafka.security_protocol.startswith("SASL"):
        security |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": kafka.sasl_password.get_secret_value(),
        }
    return KafkaConnection(
        ",".join(kafka.bootstrap_servers), {name: value for name, value in security.items() if value}
    )


def consumer_group(kafka: KafkaConfig) -> str:
    """What the names of all groups begin with, apart for each installation on the cluster."""
    return kafka.topic_prefix + kafka.consumer_group


def topic_layout(settings: Settings) -> TopicLayout:
    """A message holds the review as Google sent it, and what was read from it."""
    kafka = settings.kafka
    return TopicLayout(kafka.topic_partitions, kafka.replication_factor, 2 * settings.max_review_bytes + ENVELOPE_BYTES)


def sealing_keys(settings: Settings) -> list[SealingKey]:
    """TOKEN_SEALING_KEYS, or the key in the service's own folder, made when it is missing."""
    configured = [SealingKey(key_id, secret) for key_id, secret in settings.sealing_keys]
    return configured or [load_or_create_key(key_file(settings))]


def sealing_key_ids(settings: Settings) -> list[str]:
    """The ids of `sealing_keys`, newest first; none where the key would only be made now."""
    path = key_file(settings)
    if not settings.sealing_keys and not path.exists():
        return []
    return [key.id for key in sealing_keys(settings)]


def key_file(settings: Settings) -> Path:
    """Where the key is while TOKEN_SEALING_KEYS is not set."""
    return settings.data_directory / "sealing.key"


def limits_of(settings: Settings) -> dict[str, Limits]:
    """The same limits for each of Google's three APIs: each counts by itself."""
    rates = settings.rate_limit
    limits = Limits(
        bucket_capacity=rates.token_bucket_capacity,
        refill_rate=rates.refill_rate,
        per_minute=rates.per_minute,
        per_day=rates.per_day,
        reserve_percent=settings.quota_reserve_percent,
        day_zone=rates.day_zone,
    )
    return {str(api): limits for api in Api}


def submit_limits_of(settings: Settings) -> SubmitLimits:
    """Of tenants that have none of their own."""
    return SubmitLimits(settings.tenant.max_open_jobs, settings.tenant.submits_per_minute)


def policy_of(settings: Settings) -> ExponentialBackoffPolicy:
    """When a failed call is tried again."""
    retry = settings.retry
    return ExponentialBackoffPolicy(
        retry.initial_backoff_ms, retry.backoff_multiplier, retry.max_backoff_ms, retry.max_retries
    )


def worker_options(settings: Settings) -> WorkerOptions:
    """Without Kafka nobody publishes: the store's feed and export are the topic then (docs/architecture.md)."""
    options = SettleOptions(announce=not settings.mock_kafka, token_wait=settings.token_wait_sec)
    return WorkerOptions(settings.worker_concurrency, settings.max_review_bytes, options, settings.drop_reviewers)


def surface_of(settings: Settings) -> Surface:
    """What of the API this process shows, to whom."""
    edge = settings.edge
    return Surface(
        jobs="api" in settings.roles,
        documentation=edge.docs_enabled,
        metrics=edge.metrics,
        metrics_port=edge.metrics_port,
        trusted_proxies=edge.trusted_proxies,
        proxy_headers=edge.proxy_headers,
        allowed_origins=edge.cors_allowed_origins,
    )


def authenticator(
    settings: Settings, database: Database, clock: Clock, *, used: Callable[[str], None], refused: Callable[[str], None]
) -> Authenticator:
    """API keys of the settings and of the store. `refused` is told why somebody was not let in."""
    keys = parse_api_keys(key.get_secret_value() for key in settings.api_keys)
    return Authenticator(
        database,
        static_keys=keys,
        open_on_loopback=settings.environment == "development",
        clock=clock,
        attempts=FailedAttempts(clock, settings.failed_attempts_per_minute, refused),
        used=used,
    )
