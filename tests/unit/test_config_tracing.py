"""OTEL_*: what turns tracing on, and that only then anything is refused."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, Settings, TracingConfig, load_settings, variables
from app.wiring.tracing import resource_of

COLLECTOR = "http://collector:4318"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in variables(Settings):
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.chdir(tmp_path)


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TracingConfig:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    return load_settings().tracing


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, False),
        ({"EXPORTER_OTLP_ENDPOINT": COLLECTOR}, True),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": f"{COLLECTOR}/v1/traces"}, True),
        ({"TRACES_EXPORTER": "OTLP"}, True),
        ({"TRACES_EXPORTER": "none", "EXPORTER_OTLP_ENDPOINT": COLLECTOR}, False),
        ({"SDK_DISABLED": "true", "EXPORTER_OTLP_ENDPOINT": COLLECTOR}, False),
        ({"SERVICE_NAME": "x", "TRACES_SAMPLER": "always_on"}, False),
    ],
)
def test_an_endpoint_or_an_exporter_turns_it_on(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, on: bool
) -> None:
    assert read(monkeypatch, **variables).on is on


def test_the_endpoint_is_a_base_unless_it_is_that_of_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, TRACES_EXPORTER="otlp").traces_endpoint == "http://localhost:4318/v1/traces"
    assert read(monkeypatch, EXPORTER_OTLP_ENDPOINT=f"{COLLECTOR}/").traces_endpoint == f"{COLLECTOR}/v1/traces"
    own = read(monkeypatch, EXPORTER_OTLP_TRACES_ENDPOINT="https://x.example/api/otlp")
    assert own.traces_endpoint == "https://x.example/api/otlp"


WRONG = [
    ("TRACES_EXPORTER", "zipkin", "must be otlp or none"),
    ("EXPORTER_OTLP_PROTOCOL", "grpc", "speaks http/protobuf alone"),
    ("EXPORTER_OTLP_COMPRESSION", "zstd", "must be none or gzip"),
    ("TRACES_SAMPLER", "jaeger_remote", "must be one of always_on"),
    ("TRACES_SAMPLER_ARG", "2", "must be a number from 0 to 1"),
    ("TRACES_SAMPLER_ARG", "nan", "must be a number from 0 to 1"),
    ("RESOURCE_ATTRIBUTES", "no pair", "must be key=value"),
    ("EXPORTER_OTLP_HEADERS", "secret-without-a-name", "must be key=value"),
    ("BSP_MAX_QUEUE_SIZE", "100", "is more than OTEL_BSP_MAX_QUEUE_SIZE"),
]


@pytest.mark.parametrize(("name", "value", "what"), WRONG)
def test_what_cannot_be_used_is_refused_in_words_while_it_is_on(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    on = {"EXPORTER_OTLP_ENDPOINT": COLLECTOR, "TRACES_SAMPLER": "traceidratio"}
    with pytest.raises(ConfigurationError) as refused:
        read(monkeypatch, **(on | {name: value}))
    (problem,) = refused.value.problems
    assert problem.startswith("OTEL_")
    assert what in problem
    assert "secret" not in problem


@pytest.mark.parametrize(("name", "value", "what"), [row for row in WRONG if row[0] != "TRACES_EXPORTER"])
def test_while_it_is_off_the_variables_are_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    assert not read(monkeypatch, **{name: value}).on


def test_the_process_is_named_by_its_settings_unless_traces_have_a_name_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVICE_NAME", "reviews")
    named = resource_of(load_settings())
    assert named["service.name"] == "reviews"
    assert named["deployment.environment.name"] == "development"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, team=a%2Cb,deployment.environment.name=prod")
    named = resource_of(load_settings())
    assert (named["service.name"], named["team"], named["deployment.environment.name"]) == ("other", "a,b", "prod")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "traces")
    assert resource_of(load_settings())["service.name"] == "traces"
