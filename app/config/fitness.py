"""Whether a service may start with these settings: what this version can do, and what production demands."""

from collections.abc import Collection, Iterator

from app.config.load import ConfigurationError
from app.config.settings import ROLES, Settings
from app.config.values import PostgresqlServer, SqliteFile


def check_fit_to_start(settings: Settings, *, stored_api_keys: bool) -> None:
    """Raise ConfigurationError with every reason why a service must not start.

    Apart from loading, because `doctor`, `keys` and `migrate` must work before everything is in place.
    `stored_api_keys`: whether the store holds an API key that is neither revoked nor expired.
    """
    problems: list[str] = []
    problems += _sharing_problems(settings)
    if settings.environment == "production":
        problems += _production_problems(settings, stored_api_keys=stored_api_keys)
    if problems:
        raise ConfigurationError(problems)


def check_sealing_keys(settings: Settings, have: Collection[str], needed: Collection[str]) -> None:
    """Raise ConfigurationError when keys are `needed` (by what the store holds) that the service does not `have`: ids.

    A process that only publishes opens nothing.
    """
    missing = sorted(set(needed) - set(have))
    if missing and set(settings.roles) != {"publisher"}:
        raise ConfigurationError([missing_keys(missing)])


def missing_keys(missing: Collection[str]) -> str:
    """What is wrong, and what to do."""
    names = ", ".join(missing)
    return (
        f"TOKEN_SEALING_KEYS: access tokens, refresh tokens or callback URLs in the store are sealed with {names}: put "
        "it back, at the end of the list (a `file-…` is in sealing.key beside the store). When it is lost, "
        f"`review-fetcher keys forget {next(iter(missing))}` gives up what it sealed"
    )


def _sharing_problems(settings: Settings) -> Iterator[str]:
    """What the broker and the store demand of each other."""
    missing = [role for role in ROLES if role not in settings.roles]
    if missing and isinstance(settings.database, SqliteFile):
        yield (
            f"ROLES: a SQLite file has one process, which needs every role: add {', '.join(missing)}, unset ROLES, "
            "or set DATABASE_URL to a PostgreSQL"
        )
    if settings.mock_google_api and missing and "mock_google_api" not in settings.model_fields_set:
        yield "MOCK_GOOGLE_API: each process would have a simulator of its own: set GOOGLE_API_BASE_URL"
    if not settings.mock_kafka and isinstance(settings.database, PostgresqlServer) and not settings.token_sealing_keys:
        yield (
            "TOKEN_SEALING_KEYS: replicas open each other's tokens, so all need the same keys: set it to 1:KEY with "
            "KEY from openssl rand -base64 32"
        )


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
