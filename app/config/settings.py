"""All settings of the service."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.config.environment import read_variables
from app.config.groups import (
    DequeConfig,
    EdgeConfig,
    KafkaConfig,
    RateLimitConfig,
    RetryConfig,
    SimulatorConfig,
    TenantConfig,
    WebhookConfig,
)
from app.config.tracing import TracingConfig
from app.config.values import (
    BaseUrl,
    CrashAt,
    DatabaseUrl,
    PostgresqlServer,
    SealingKeys,
    Secrets,
    Split,
    SqliteFile,
    Upper,
    parse_database_url,
    parse_sealing_key,
)

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Role = Literal["api", "scheduler", "accounts", "locations", "reviews", "publisher"]
ROLES: tuple[Role, ...] = get_args(Role)


def _own_version() -> str:
    try:
        return installed_version("review-fetcher")
    except PackageNotFoundError:
        return "unknown"


class Settings(BaseSettings):
    """All settings. Make one by `load_settings` or `get_settings`: they explain what is wrong, in words."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    service_name: str = Field(default="review-fetcher-service", min_length=1, description="Name in logs and at `/`")
    version: str = Field(default_factory=_own_version, description="Version in logs and at `/`")
    environment: Literal["development", "production", "test"] = Field(
        default="development", description="production refuses mocks and missing keys"
    )
    log_level: Annotated[LogLevel, Upper] = Field(default="INFO", description="Least severe event logged")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that `review-fetcher serve` listens on")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that `review-fetcher serve` listens on. 0 = a free one"
    )
    edge: EdgeConfig = EdgeConfig()
    database_url: DatabaseUrl = Field(
        default=SecretStr("sqlite:///data/review-fetcher.db"),
        description="The store: `sqlite:///path` (relative; four slashes for an absolute path) or `postgresql://…`; "
        "of several hosts, `@primary:5432,standby:5432/name`, the one that takes writes is used",
    )
    api_keys: Secrets = Field(
        default=(),
        description="API keys of the default tenant, beside those of `review-fetcher keys`: secrets of at least 20 "
        "characters, each may end in its scopes: `secret:submit+read`",
    )
    failed_attempts_per_minute: int = Field(
        default=30,
        ge=0,
        le=1_000_000,
        description="Wrong API keys from one address (IPv6: one /64), at once or within a minute, after which those "
        "that did not work from there before get 429. 0 = no limit",
    )
    token_sealing_keys: SealingKeys = Field(
        default=(),
        description="Keys that seal access tokens: `id:base64 of 32 bytes`, newest first. Unset: made at first start",
    )
    google_api_base_url: BaseUrl = Field(
        default="", description="One base URL in place of all of Google's hosts. Empty = Google"
    )
    mock_google_api: bool = Field(
        default_factory=lambda data: not data["google_api_base_url"],
        description="Fetch from the built-in simulator. Unset: on unless GOOGLE_API_BASE_URL is set",
    )
    kafka: KafkaConfig = KafkaConfig()
    mock_kafka: bool = Field(
        default_factory=lambda data: "bootstrap_servers" not in data["kafka"].model_fields_set,
        description="Use the in-process broker. Unset: on unless KAFKA_BOOTSTRAP_SERVERS is set",
    )
    rate_limit: RateLimitConfig = RateLimitConfig()
    quota_reserve_percent: float = Field(
        default=0,
        ge=0,
        lt=100,
        description="Part of every limit left to others who use the same Google project, percent",
    )
    retry: RetryConfig = RetryConfig()
    deque: DequeConfig = DequeConfig()
    tenant: TenantConfig = TenantConfig()
    simulator: SimulatorConfig = SimulatorConfig()
    webhook: WebhookConfig = WebhookConfig()
    tracing: TracingConfig = TracingConfig()
    worker_concurrency: int = Field(default=16, ge=1, le=256, description="Tasks that each stage works on at once")
    roles: Annotated[tuple[Role, ...], Split] = Field(
        default=ROLES, description="What this process does; the in-process broker needs all of them in one process"
    )
    token_wait_sec: int = Field(
        default=3600,
        ge=0,
        le=2_592_000,
        description="How long a job waits for a new access token before it fails, seconds; with a refresh token also "
        "how long it tries to get one before it asks for another",
    )
    token_max_age_days: float = Field(
        default=30,
        gt=0,
        le=3650,
        description="Tokens and refresh tokens are wiped so long after they were given, also when their job has not "
        "ended: it asks for a new one then, days",
    )
    validate_token_on_submit: bool = Field(
        default=False,
        description="Ask Google about the token, or by the refresh token, before 202; a refused one gets 401",
    )
    max_review_bytes: int = Field(
        default=900_000,
        ge=1_000,
        le=16_000_000,
        description="A longer review is dead-lettered, its page goes on, bytes",
    )
    dlq_max_redrives: int = Field(
        default=5,
        ge=1,
        le=1_000,
        description="Redrives of a dead letter after which it is parked: left alone until a redrive includes it",
    )
    retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="Days that an ended job is kept, with all it has fetched, unless its tenant has days of its own. "
        "0 = for ever",
    )
    drop_reviewers: bool = Field(
        default=False,
        description="Keep no reviewer's name or photo: neither in the store nor in messages; a tenant may have this "
        "of its own",
    )
    max_event_streams: int = Field(
        default=5_000,
        ge=1,
        le=1_000_000,
        description="Clients that may follow jobs by events at one process; beyond it, 503",
    )
    crash_at: CrashAt = Field(
        default="", description="Kill the process at a named point, `name:n`. For crash tests, never in production"
    )

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.edge.metrics_port == self.port:
            raise ValueError("METRICS_PORT: is PORT already: choose another, or unset it")
        return self

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        missing = [role for role in ROLES if role not in self.roles]
        if missing and self.mock_kafka:
            raise ValueError(
                f"ROLES: the in-process broker needs every role here: add {', '.join(missing)}, or unset ROLES"
            )
        return self

    @property
    def database(self) -> SqliteFile | PostgresqlServer:
        """DATABASE_URL, read."""
        return parse_database_url(self.database_url.get_secret_value())

    @property
    def data_directory(self) -> Path:
        """Where files of the service belong: beside the SQLite file, else `data`."""
        return self.database.path.parent if isinstance(self.database, SqliteFile) else Path("data")

    @property
    def sealing_keys(self) -> tuple[tuple[str, bytes], ...]:
        """TOKEN_SEALING_KEYS as (id, 32 bytes), newest first."""
        return tuple(parse_sealing_key(key.get_secret_value()) for key in self.token_sealing_keys)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `.env`."""
        found = read_variables(settings_cls, (dotenv_settings, env_settings))
        return init_settings, InitSettingsSource(settings_cls, found)
