"""Settings: where they come from, what they refuse, and that they keep secrets."""

import base64
from pathlib import Path

import pytest

from app.config import (
    ROLES,
    ConfigurationError,
    DequeConfig,
    PostgresqlServer,
    Settings,
    SqliteFile,
    check_fit_to_start,
    get_settings,
    load_settings,
    variables,
)
from app.config.values import parse_sealing_key

KEY = base64.b64encode(bytes(32)).decode()
OTHER_KEY = base64.b64encode(bytes(range(32))).decode()


def unnamed(_: object) -> str:
    """A parameter that names a database or a broker must not count as a test over that adapter."""
    return ""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine, and no `.env` but the test's own."""
    for variable in variables(Settings):
        monkeypatch.delenv(variable.name, raising=False)
        monkeypatch.delenv(f"{variable.name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def problems(**values: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**values)
    return caught.value.problems


def reasons_not_to_start(settings: Settings, *, stored_api_keys: bool = False) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        check_fit_to_start(settings, stored_api_keys=stored_api_keys)
    return caught.value.problems


def test_without_any_configuration_it_is_one_process_with_mocks_and_a_file() -> None:
    settings = load_settings()
    assert settings.mock_google_api
    assert settings.mock_kafka
    assert settings.database == SqliteFile(Path("data/review-fetcher.db"))
    assert settings.roles == ROLES
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    check_fit_to_start(settings, stored_api_keys=False)


def test_the_guides_names_and_defaults() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == ("localhost:9092",)
    assert settings.kafka.consumer_group == "review-fetcher-service"
    assert settings.rate_limit.token_bucket_capacity == 100
    assert settings.rate_limit.refill_rate == 10.0
    assert settings.rate_limit.per_minute == 300
    assert (settings.retry.max_retries, settings.retry.initial_backoff_ms) == (3, 100)
    assert (settings.retry.max_backoff_ms, settings.retry.backoff_multiplier) == (10_000, 2.0)
    assert (settings.deque.max_size, settings.deque.burst_check_interval_sec) == (10_000, 0.1)


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETRY_MAX_RETRIES=5\nDEQUE_MAX_SIZE=7\n# a comment\nUNKNOWN=1\n")
    monkeypatch.setenv("RETRY_MAX_RETRIES", "9")
    settings = load_settings()
    assert settings.retry.max_retries == 9
    assert settings.deque.max_size == 7


def test_the_env_file_can_be_left_aside(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=1\n")
    assert load_settings(_env_file=None).port == 8000


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEQUE_MAX_SIZE", "7")
    monkeypatch.setenv("PORT", "1")
    settings = load_settings(deque=DequeConfig(max_size=3), port=2)
    assert (settings.deque.max_size, settings.port) == (3, 2)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    assert load_settings().port == 8000
    assert load_settings().mock_kafka


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "one:9092, two:9093,")
    monkeypatch.setenv("API_KEYS", "first,second")
    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, fd00::/8,192.168.1.7")
    settings = load_settings()
    assert [str(network) for network in settings.webhook.allowed_networks] == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.168.1.7/32",
    ]
    assert settings.kafka.bootstrap_servers == ("one:9092", "two:9093")
    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second"]


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("GOOGLE_API_BASE_URL", "http://127.0.0.1:1", "mock_google_api"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092", "mock_kafka"),
    ],
    ids=["google", "broker"],
)
@pytest.mark.parametrize(("explicit", "expected"), [(None, False), ("true", True), ("false", False)])
def test_an_explicit_mock_wins_over_an_address(
    variable: str, value: str, name: str, explicit: str | None, expected: bool
) -> None:
    given = {variable: value} | ({name.upper(): explicit} if explicit else {})
    with pytest.MonkeyPatch.context() as environment:
        for setting, text in given.items():
            environment.setenv(setting, text)
        assert getattr(load_settings(), name) is expected


def test_a_mock_can_be_turned_off_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_GOOGLE_API", "false")
    settings = load_settings()
    assert not settings.mock_google_api
    assert settings.google_api_base_url == ""


def test_secrets_come_from_files_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://user:hidden@db:5432/reviews\n")
    (tmp_path / "keys").write_text("first\nsecond\n")
    (tmp_path / "sealing").write_text(f"2:{KEY}\n1:{OTHER_KEY}\n")
    for name in ("DATABASE_URL", "API_KEYS", "TOKEN_SEALING_KEYS"):
        files = {"DATABASE_URL": "url", "API_KEYS": "keys", "TOKEN_SEALING_KEYS": "sealing"}
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / files[name]))
    settings = load_settings()
    assert isinstance(settings.database, PostgresqlServer)
    assert len(settings.api_keys) == 2
    assert settings.sealing_keys == (("2", bytes(32)), ("1", bytes(range(32))))


def test_a_secret_given_twice_or_in_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "visible-secret")
    monkeypatch.setenv("API_KEYS_FILE", "keys")
    monkeypatch.setenv("DATABASE_URL_FILE", "missing")
    found = "\n".join(problems())
    assert "API_KEYS: is set, and API_KEYS_FILE too" in found
    assert "DATABASE_URL: cannot be read from DATABASE_URL_FILE='missing'" in found
    assert "visible-secret" not in found


def test_a_plain_setting_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT_FILE", "anything")
    assert load_settings().port == 8000


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "99999")
    monkeypatch.setenv("RETRY_MAX_RETRIES", "many")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("GOOGLE_API_BASE_URL", "ftp://x")
    found = problems()
    assert [problem.partition(":")[0] for problem in found] == [
        "LOG_LEVEL",
        "PORT",
        "GOOGLE_API_BASE_URL",
        "RETRY_MAX_RETRIES",
    ]
    assert "'99999'" in found[1]
    assert "'many'" in found[3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hidden@db/x"),
        ("DATABASE_URL", "sqlite://hidden"),
        ("DATABASE_URL", "sqlite:///:memory:?hidden"),
        ("DATABASE_URL", "postgresql://user:hidden@db"),
        ("DATABASE_URL", "hidden"),
        ("TOKEN_SEALING_KEYS", "1:hidden"),
        ("TOKEN_SEALING_KEYS", f"hidden{KEY}"),
        ("TOKEN_SEALING_KEYS", f"hidden:{KEY},hidden:{OTHER_KEY}"),
        ("GOOGLE_API_BASE_URL", "http://user:hidden@127.0.0.1"),
    ],
    ids=unnamed,
)
def test_a_refused_secret_is_never_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{name}: ")
    assert "hidden" not in problem
    assert KEY not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATELIMIT_REFILL_RATE", "0"),
        ("RATELIMIT_REFILL_RATE", "nan"),
        ("RATELIMIT_PER_MINUTE", "-1"),
        ("RATELIMIT_DAY_ZONE", "Mars/Olympus"),
        ("QUOTA_RESERVE_PERCENT", "100"),
        ("RETRY_BACKOFF_MULTIPLIER", "0.5"),
        ("DEQUE_MAX_SIZE", "0"),
        ("DEQUE_BURST_CHECK_INTERVAL_SEC", "0"),
        ("WORKER_CONCURRENCY", "0"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,inside"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.internal"),
        ("PROXY_HEADERS", "x-real-ip"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "null"),
        ("CORS_ALLOWED_ORIGINS", "https://*.example.com"),
        ("CORS_ALLOWED_ORIGINS", "app.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://App.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com:443"),
        ("CORS_ALLOWED_ORIGINS", "http://app.example.com:80"),
        ("CORS_ALLOWED_ORIGINS", "https://user@app.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://ok.example.com,ftp://app.example.com"),
        ("MAX_CONNECTIONS", "9"),
        ("METRICS", "public"),
        ("METRICS_PORT", "0"),
        ("METRICS_PORT", "8000"),
        ("DOCS_ENABLED", "maybe"),
        ("MAX_REVIEW_BYTES", "1"),
        ("TOKEN_WAIT_SEC", "-1"),
        ("MOCK_KAFKA", "maybe"),
        ("ENVIRONMENT", "staging"),
        ("ROLES", "api,cook"),
        ("CRASH_AT", "nowhere:1"),
        ("CRASH_AT", "settled:0"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("KAFKA_BOOTSTRAP_SERVERS", ","),
        ("GOOGLE_API_BASE_URL", "http://127.0.0.1:none"),
    ],
    ids=unnamed,
)
def test_values_outside_the_bounds_are_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert [problem.partition(":")[0] for problem in problems()] == [name]


def test_origins_are_those_that_browsers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = ("https://app.example.com", "http://localhost:3000", "https://192.0.2.1:8443", "http://[::1]:8080")
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", ", ".join(origins))
    assert load_settings().edge.cors_allowed_origins == origins


def test_a_port_for_metrics_that_are_off_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS", "off")
    monkeypatch.setenv("METRICS_PORT", "9464")
    assert problems() == ["METRICS_PORT: there is nothing to show with METRICS=off: unset one of them"]


def test_zero_turns_limits_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATELIMIT_TOKEN_BUCKET_CAPACITY", "RATELIMIT_PER_MINUTE", "RATELIMIT_PER_DAY"):
        monkeypatch.setenv(name, "0")
    limit = load_settings().rate_limit
    assert (limit.token_bucket_capacity, limit.per_minute, limit.per_day) == (0, 0, 0)


def test_the_longest_backoff_is_not_below_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_MAX_BACKOFF_MS", "50")
    assert problems() == ["RETRY_MAX_BACKOFF_MS: 50 is less than RETRY_INITIAL_BACKOFF_MS (100): raise it"]


def test_the_in_process_broker_needs_every_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLES", "api,scheduler")
    (problem,) = problems()
    assert "add accounts, locations, reviews, publisher" in problem
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    assert load_settings().roles == ("api", "scheduler")


def test_an_unknown_argument_is_refused() -> None:
    assert problems(no_such_setting=1) == ["no_such_setting: there is no such setting"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///data/x.db", SqliteFile(Path("data/x.db"))),
        ("sqlite:////var/lib/x.db", SqliteFile(Path("/var/lib/x.db"))),
    ],
    ids=["relative", "absolute"],
)
def test_sqlite_urls_are_relative_with_three_slashes(url: str, expected: SqliteFile) -> None:
    assert load_settings(database_url=url).database == expected


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"], ids=["long", "short"])
def test_a_database_is_shown_without_its_password(scheme: str) -> None:
    settings = load_settings(database_url=f"{scheme}://user:hidden@db:5432/reviews?sslmode=require")
    assert str(settings.database) == "postgresql://user:***@db:5432/reviews"
    assert "hidden" not in repr(settings) + repr(settings.database)


def test_several_hosts_of_a_database_are_shown_and_checked() -> None:
    settings = load_settings(database_url="postgresql://user:hid,den@one:5432,two/reviews")
    assert str(settings.database) == "postgresql://user:***@one:5432,two/reviews"
    for hosts in ("one,,two", "one:port", "one,two:", ",one"):
        (problem,) = problems(database_url=f"postgresql://user:hidden@{hosts}/reviews")
        assert "write postgresql://user:password@primary:5432,standby:5432/name" in problem
        assert "hidden" not in problem


def test_no_secret_is_in_the_settings_text() -> None:
    settings = load_settings(api_keys=("hidden",), token_sealing_keys=(f"1:{KEY}",))
    assert "hidden" not in repr(settings) + str(settings)
    assert KEY not in repr(settings) + str(settings)


def test_production_names_everything_that_is_missing() -> None:
    settings = load_settings(environment="production", mock_google_api=True, mock_kafka=True, crash_at="settled:1")
    names = [problem.partition(":")[0] for problem in reasons_not_to_start(settings)]
    assert names == ["MOCK_GOOGLE_API", "MOCK_KAFKA", "API_KEYS", "TOKEN_SEALING_KEYS", "CRASH_AT"]


def test_production_starts_on_one_machine_when_everything_is_set() -> None:
    settings = load_settings(
        environment="production", mock_google_api=False, api_keys=("k" * 32,), token_sealing_keys=(f"1:{KEY}",)
    )
    check_fit_to_start(settings, stored_api_keys=False)


def test_one_process_may_use_kafka_with_a_file_of_its_own() -> None:
    check_fit_to_start(load_settings(mock_kafka=False), stored_api_keys=False)


def test_a_file_is_not_shared_by_processes_of_several_roles() -> None:
    settings = load_settings(mock_kafka=False, mock_google_api=True, roles=("api", "scheduler"))
    (problem,) = reasons_not_to_start(settings)
    assert problem.startswith("ROLES: a SQLite file has one process")
    assert "accounts, locations, reviews, publisher" in problem


def test_replicas_need_sealing_keys_in_common() -> None:
    shared = {"mock_kafka": False, "database_url": "postgresql://localhost/reviews"}
    (problem,) = reasons_not_to_start(load_settings(**shared))
    assert problem.startswith("TOKEN_SEALING_KEYS: replicas open each other's tokens")
    check_fit_to_start(load_settings(**shared, token_sealing_keys=(f"1:{KEY}",)), stored_api_keys=False)


def test_processes_by_role_do_not_each_ask_a_simulator_of_their_own() -> None:
    settings = load_settings(
        mock_kafka=False,
        database_url="postgresql://localhost/reviews",
        token_sealing_keys=(f"1:{KEY}",),
        roles=("reviews",),
    )
    (problem,) = reasons_not_to_start(settings)
    assert problem.startswith("MOCK_GOOGLE_API: each process would have a simulator of its own")


def test_a_sasl_protocol_needs_a_user_and_a_password() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD") as raised:
        load_settings(kafka={"security_protocol": "sasl_ssl", "sasl_password": "sesame-open"})
    assert "sesame" not in str(raised.value)


def test_a_certificate_comes_with_its_key() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_SSL_KEY_LOCATION"):
        load_settings(kafka={"ssl_certificate_location": "client.pem"})


def test_the_password_of_kafka_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame-open\n")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "fetcher")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    settings = load_settings()
    assert settings.kafka.sasl_password.get_secret_value() == "sesame-open"
    assert "sesame" not in repr(settings)


def test_production_takes_api_keys_of_the_store() -> None:
    settings = load_settings(
        environment="production", mock_google_api=False, token_sealing_keys=(f"1:{KEY}",), log_level="debug"
    )
    check_fit_to_start(settings, stored_api_keys=True)
    assert [problem.partition(":")[0] for problem in reasons_not_to_start(settings)] == ["API_KEYS"]


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    monkeypatch.setenv("PORT", "1")
    first = get_settings()
    monkeypatch.setenv("PORT", "2")
    assert get_settings() is first
    get_settings.cache_clear()


def test_every_setting_says_what_it_is_for() -> None:
    assert [variable.name for variable in variables(Settings) if not variable.field.description] == []


@pytest.mark.parametrize(
    "text", ["c2VjcmV0", "id:c2VjcmV0", "id:not base64!", ":" + base64.b64encode(b"x" * 32).decode(), "a b:"]
)
def test_a_wrong_sealing_key_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes") as caught:
        parse_sealing_key(text)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_sealing_key_is_its_id_and_its_bytes() -> None:
    assert parse_sealing_key("2024:" + base64.b64encode(b"x" * 32).decode()) == ("2024", b"x" * 32)
