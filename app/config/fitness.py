"""Whether a service may start with these settings: what this version can do, and what production demands."""

from collections.abc import Iterator

from app.config.load import ConfigurationError
from app.config.settings import Settings


def check_fit_to_start(settings: Settings, *, stored_api_keys: bool) -> None:
    """Raise ConfigurationError with every reason why a service must not start.

    Apart from loading, because `doctor`, `keys` and `migrate` must work before everything is in place.
    `stored_api_keys`: whether the store holds an API key that is not revoked.
    """
    problems = []
    if not settings.mock_kafka:
        problems.append("KAFKA_BOOTSTRAP_SERVERS: this version runs as one process with its own broker: unset it")
    if settings.environment == "production":
        problems += _production_problems(settings, stored_api_keys=stored_api_keys)
    if problems:
        raise ConfigurationError(problems)


def _production_problems(settings: Settings, *, stored_api_keys: bool) -> Iterator[str]:
    if settings.mock_google_api:
        yield "MOCK_GOOGLE_API: production does not fetch from the simulator: set MOCK_GOOGLE_API=false"
    if settings.mock_kafka and "mock_kafka" in settings.model_fields_set:
        yield "MOCK_KAFKA: production takes no mock: unset it to run one process with its own broker"
    if not settings.api_keys and not stored_api_keys:
        yield "API_KEYS: production needs an API key: set API_KEYS, or run `review-fetcher keys create`"
    if not settings.token_sealing_keys:
        yield "TOKEN_SEALING_KEYS: production needs one: set it to 1:KEY with KEY from openssl rand -base64 32"
    if settings.crash_at:
        yield "CRASH_AT: for crash tests only: unset it"
