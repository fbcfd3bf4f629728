"""Settings in words: what is in force, what was set, and never a secret."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import Settings, load_settings, variables
from app.config.environment import Variable
from app.config.shown import shown
from app.models.overview import SettingView

KEY = base64.b64encode(bytes(range(32))).decode()
Shown = Callable[..., dict[str, SettingView]]

SECRETS: dict[str, str] = {
    "TOKEN_SEALING_KEYS": f"main:{KEY}",
    "DATABASE_URL": "postgresql://user:secret-of-it@host/db",
}
"""Those that must look like something; every other secret is its name and some letters."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in variables(Settings):
        monkeypatch.delenv(variable.name, raising=False)
        monkeypatch.delenv(f"{variable.name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The settings by name, with these variables set."""

    def shown_with(**values: str) -> dict[str, SettingView]:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return {setting.name: setting for setting in shown(load_settings()).settings}

    return shown_with


def _secret_of(variable: Variable) -> str:
    return SECRETS.get(variable.name, f"unforgettable-{variable.name.lower()}-0123456789")


def test_every_setting_is_shown_in_the_order_of_the_documentation() -> None:
    assert [setting.name for setting in shown(load_settings()).settings] == [one.name for one in variables(Settings)]
    documented = Path(__file__).parents[2].joinpath("docs/configuration.md").read_text(encoding="utf-8")
    places = [documented.index(f"\n| `{setting.name}`") for setting in shown(load_settings()).settings]
    assert places == sorted(places)


def test_without_configuration_everything_is_a_default() -> None:
    settings = shown(load_settings()).settings
    assert {setting.source for setting in settings} == {"default"}
    assert all(setting.description for setting in settings)


def test_what_is_set_is_told_apart_from_the_same_value_by_default(
    set_to: Shown,
) -> None:
    found = set_to(WORKER_CONCURRENCY="16", KAFKA_TOPIC_PARTITIONS="24", ROLES="", RATELIMIT_DAY_ZONE="Europe/Berlin")
    told = {name: (found[name].value, found[name].source) for name in found}
    assert told["WORKER_CONCURRENCY"] == ("16", "set")
    assert told["KAFKA_TOPIC_PARTITIONS"] == ("24", "set")
    assert told["KAFKA_REPLICATION_FACTOR"] == ("1", "default")
    assert told["RATELIMIT_DAY_ZONE"] == ("Europe/Berlin", "set")
    assert told["ROLES"] == ("api,scheduler,accounts,locations,reviews,publisher", "default")
    assert (found["KAFKA_TOPIC_PARTITIONS"].default, found["VALIDATE_TOKEN_ON_SUBMIT"].value) == ("12", "false")


def test_no_secret_is_told_however_it_is_set(set_to: Shown, tmp_path: Path) -> None:
    secrets = [variable for variable in variables(Settings) if variable.secret]
    assert {"API_KEYS", "TOKEN_SEALING_KEYS", "DATABASE_URL", "KAFKA_SASL_PASSWORD"} <= {one.name for one in secrets}
    values = {variable.name: _secret_of(variable) for variable in secrets}
    (tmp_path / "password").write_text(values.pop("KAFKA_SASL_PASSWORD"))
    found = set_to(KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "password"), **values)
    everything = "".join(setting.model_dump_json() for setting in found.values())
    for word in (KEY, "secret-of-it", "unforgettable"):
        assert word not in everything
    for variable in secrets:
        setting = found[variable.name]
        assert (setting.secret, setting.source) == (True, "set")
        assert setting.value == ("postgresql://user:***@host/db" if variable.name == "DATABASE_URL" else "set")


def test_a_secret_that_is_not_set_says_so() -> None:
    found = {setting.name: setting for setting in shown(load_settings()).settings}
    assert (found["API_KEYS"].value, found["KAFKA_SASL_PASSWORD"].value) == ("not set", "not set")
    assert found["DATABASE_URL"].value == "sqlite:///data/review-fetcher.db"


def test_an_empty_variable_is_not_set(set_to: Shown) -> None:
    assert set_to(GOOGLE_API_BASE_URL="")["GOOGLE_API_BASE_URL"].source == "default"


def test_networks_are_shown_as_they_are_written(set_to: Shown) -> None:
    networks = "10.0.0.0/8,fd00::/8"
    assert set_to(WEBHOOK_ALLOWED_NETWORKS=networks)["WEBHOOK_ALLOWED_NETWORKS"].value == networks
