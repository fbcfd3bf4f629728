"""Settings that share a prefix, as the guide names them. Each variable is the prefix and the name in capitals."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.config.values import Networks, Origins, Secret, Servers, TimeZone, Upper


class Group(BaseModel):
    """Settings that share a prefix."""

    PREFIX: ClassVar[str]
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class KafkaConfig(Group):
    """The message broker."""

    PREFIX = "KAFKA_"

    bootstrap_servers: Servers = Field(
        default=("localhost:9092",),
        description="Kafka's addresses (`host:port`). Set them to turn MOCK_KAFKA off",
    )
    consumer_group: str = Field(
        default="review-fetcher-service",
        min_length=1,
        description="Begins the names of the consumer groups: each stage has one, and the publisher",
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where a consumer group without offsets starts to read"
    )
    topic_partitions: int = Field(
        default=12,
        ge=1,
        le=1_000,
        description="Partitions of each topic, new or existing: at least as many as replicas that read it",
    )
    replication_factor: int = Field(
        default=1, ge=1, le=9, description="Copies of each partition, new or existing: 3 on a cluster of three brokers"
    )
    topic_prefix: str = Field(
        default="",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Begins the names of all topics and groups, so that several installations can share a cluster",
    )
    security_protocol: Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Upper] = Field(
        default="PLAINTEXT", description="How Kafka is spoken to"
    )
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Upper] = Field(
        default="PLAIN", description="How the service tells Kafka who it is, with a SASL_* protocol"
    )
    sasl_username: str = Field(default="", description="User name for a SASL_* protocol")
    sasl_password: Secret = Field(default=SecretStr(""), description="Password for a SASL_* protocol")
    ssl_ca_location: str = Field(
        default="", description="File (PEM) of the authorities that signed Kafka's certificate. Empty = the system's"
    )
    ssl_certificate_location: str = Field(default="", description="File (PEM) with the service's own certificate")
    ssl_key_location: str = Field(default="", description="File (PEM) with the key of that certificate")
    ssl_key_password: Secret = Field(default=SecretStr(""), description="Password of that key")

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password.get_secret_value()
        ):
            raise ValueError(
                f"KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs both"
            )
        if bool(self.ssl_certificate_location) != bool(self.ssl_key_location):
            raise ValueError("KAFKA_SSL_CERTIFICATE_LOCATION, KAFKA_SSL_KEY_LOCATION: set both, or neither of them")
        return self


class RateLimitConfig(Group):
    """Calls to each of Google's APIs, per Google project, by all replicas together."""

    PREFIX = "RATELIMIT_"

    token_bucket_capacity: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Calls that may be made at once: the size of the token bucket. 0 = no bucket",
    )
    refill_rate: float = Field(default=10.0, gt=0, le=100_000, description="Calls a second that the bucket gains")
    per_minute: int = Field(
        default=300,
        ge=0,
        le=10_000_000,
        description="Calls in any 60 seconds (300 is Google's documented default). 0 = off",
    )
    per_day: int = Field(
        default=0, ge=0, le=1_000_000_000, description="Calls in a calendar day of RATELIMIT_DAY_ZONE. 0 = off"
    )
    day_zone: TimeZone = Field(
        default="America/Los_Angeles", description="Time zone whose midnight begins a new day of quota"
    )


class RetryConfig(Group):
    """What happens after a failed call. Waiting for quota is no failure."""

    PREFIX = "RETRY_"

    max_retries: int = Field(
        default=3, ge=0, le=100, description="Retries of one page in a row before it is dead-lettered"
    )
    initial_backoff_ms: int = Field(
        default=100, ge=1, le=3_600_000, description="Wait before the first retry, milliseconds"
    )
    max_backoff_ms: int = Field(
        default=10_000, ge=1, le=3_600_000, description="Longest wait before a retry, milliseconds"
    )
    backoff_multiplier: float = Field(default=2.0, ge=1, le=100, description="Each wait is the one before times this")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.max_backoff_ms < self.initial_backoff_ms:
            raise ValueError(
                f"RETRY_MAX_BACKOFF_MS: {self.max_backoff_ms} is less than RETRY_INITIAL_BACKOFF_MS "
                f"({self.initial_backoff_ms}): raise it"
            )
        return self


class DequeConfig(Group):
    """The buffer between POST and the store."""

    PREFIX = "DEQUE_"

    max_size: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Jobs that may wait for their commit; beyond it, 429"
    )
    burst_check_interval_sec: float = Field(
        default=0.1, gt=0, le=10, description="Longest wait for more jobs before a commit under load, seconds"
    )


class TenantConfig(Group):
    """What a tenant may submit that has no limits of its own (`review-fetcher tenants set`)."""

    PREFIX = "TENANT_"

    max_open_jobs: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Jobs of one tenant that may be open at a time; beyond it, 429. 0 = off",
    )
    submits_per_minute: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Jobs that one tenant may submit in a minute; beyond it, 429. 0 = off",
    )


class SimulatorConfig(Group):
    """The simulated Google that runs while MOCK_GOOGLE_API is on."""

    PREFIX = "SIMULATOR_"

    accounts: int = Field(default=2, ge=0, le=100_000, description="Accounts of the simulated merchant")
    locations: int = Field(default=10, ge=0, le=100_000, description="Locations of each account")
    reviews: int = Field(default=100, ge=0, le=10_000_000, description="Reviews of each location")
    seed: int = Field(default=1, ge=0, description="The same seed gives the same world")
    faults: str = Field(
        default="good", min_length=1, description="What goes wrong: `good`, `flaky`, or a JSON file of faults"
    )


class WebhookConfig(Group):
    """Messages to the callbacks of jobs."""

    PREFIX = "WEBHOOK_"

    allowed_networks: Networks = Field(
        default=(),
        description="Networks (`10.0.0.0/8`) that callbacks may lead to beside public addresses, also by plain http",
    )


class EdgeConfig(Group):
    """Who may connect, and what is shown to whom."""

    PREFIX = ""

    trusted_proxies: Networks = Field(
        default=(),
        description="Networks (`10.0.0.0/8`) of the proxies in front: what they say of the client's address and scheme "
        "is believed, and of nobody else",
    )
    proxy_headers: Literal["x-forwarded", "forwarded"] = Field(
        default="x-forwarded",
        description="What they say it by: X-Forwarded-For and X-Forwarded-Proto, or Forwarded. The other is not read",
    )
    cors_allowed_origins: Origins = Field(
        default=(),
        description="Origins (`https://app.example.com`) whose pages may call the API with a key. Empty = none",
    )
    max_connections: int = Field(
        default=6_000,
        ge=10,
        le=1_000_000,
        description="Connections to one process, never more than its hard limit of open files less 256; beyond it, 503",
    )
    metrics: Literal["key", "open", "off"] = Field(
        default="key", description="Who may read `/metrics`: a key with `admin`, anybody who can connect, nobody"
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="A port of its own for `/metrics`, at HOST; the other port has it no more. Unset: there",
    )
    docs_enabled: bool = Field(default=True, description="Serve `/docs` and `/openapi.json`, to any API key")

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        if self.metrics == "off" and self.metrics_port is not None:
            raise ValueError("METRICS_PORT: there is nothing to show with METRICS=off: unset one of them")
        return self
