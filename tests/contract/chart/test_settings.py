"""What a pod is given is what the service reads: its own code loads the environment of every rendered container."""

import json
import re
from base64 import b64decode
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings, check_fit_to_start, load_settings, variables
from tests.contract.chart.combinations import API_KEY, DATABASE_URL, SEALING_KEY
from tests.support.chart import CHART, PROJECT, Object, named, of_kind, render, waiting, workloads

FOLDER = "/run/secrets/review-fetcher"

ELSEWHERE = {"DATABASE_URL": DATABASE_URL, "API_KEYS": API_KEY, "TOKEN_SEALING_KEYS": f"1:{SEALING_KEY}"}
"""What a Secret that the chart does not make would hold."""


def environment_of(one: Object, objects: list[Object], folder: Path) -> dict[str, str]:
    """The container's, with its secrets as files below `folder`."""
    (container,) = one["spec"]["template"]["spec"]["containers"]
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        given |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    given |= {entry["name"]: entry["value"] for entry in container["env"]}
    write_secrets(one, objects, folder)
    return {name: value.replace(FOLDER, str(folder)) for name, value in given.items()}


def write_secrets(one: Object, objects: list[Object], folder: Path) -> None:
    """As the kubelet projects them."""
    own = {found["metadata"]["name"]: found["data"] for found in of_kind(objects, "Secret")}
    folder.mkdir(exist_ok=True)
    (volume,) = (found for found in one["spec"]["template"]["spec"]["volumes"] if found["name"] == "secrets")
    for source in volume["projected"]["sources"]:
        for item in source["secret"]["items"]:
            data = own.get(source["secret"]["name"])
            value = b64decode(data[item["key"]]).decode() if data else ELSEWHERE[item["path"]]
            (folder / item["path"]).write_text(value)


def loaded(one: Object, objects: list[Object], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    known = {name for variable in variables(Settings) for name in (variable.name, f"{variable.name}_FILE")}
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment_of(one, objects, folder).items():
        assert name in known or name == "OTEL_EXPORTER_OTLP_ENDPOINT", f"{name} is no setting"
        monkeypatch.setenv(name, value)
    return load_settings(_env_file=None)


def test_every_pod_is_fit_to_start(
    combination: str, objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in workloads(objects) + waiting(objects):
        settings = loaded(one, objects, tmp_path / "secrets", monkeypatch)
        check_fit_to_start(settings, stored_api_keys=False)
        assert settings.mock_google_api is (combination == "single, for trying out")
        assert settings.mock_kafka is combination.startswith(("single", "default"))
        assert str(settings.database).startswith("sqlite") is ("data" in mounted(one))
        assert (settings.host, settings.port) == ("0.0.0.0", 8000)  # noqa: S104 - a pod is reached at its address
        assert len(settings.api_keys) == len(settings.token_sealing_keys) == 1
        assert settings.edge.metrics_port == (None if combination == "single, no metrics" else 9464)


def mounted(one: Object) -> list[str]:
    (container,) = one["spec"]["template"]["spec"]["containers"]
    return [mount["name"] for mount in container["volumeMounts"]]


def test_the_file_is_in_the_folder_that_the_volume_is_mounted_at(
    every_rendering: dict[str, list[Object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is relative to the image's WORKDIR."""
    objects = every_rendering["default"]
    (one,) = workloads(objects)
    settings = loaded(one, objects, tmp_path / "secrets", monkeypatch)
    *_, workdir = re.findall(r"^WORKDIR (\S+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    (container,) = one["spec"]["template"]["spec"]["containers"]
    (mount,) = (found for found in container["volumeMounts"] if found["name"] == "data")
    assert f"{workdir}/{settings.data_directory}" == mount["mountPath"]


SAMPLES: dict[str, Any] = {
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "WARNING",
    "TRUSTED_PROXIES": "10.0.0.0/8,192.168.0.0/16",
    "PROXY_HEADERS": "forwarded",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "GOOGLE_API_BASE_URL": "http://google.example.com:9100",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka-0:9092,kafka-1:9092",
    "KAFKA_AUTO_OFFSET_RESET": "latest",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "reviews",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "/run/kafka/tls.crt",
    "KAFKA_SSL_KEY_LOCATION": "/run/kafka/tls.key",
    "RATELIMIT_PER_DAY": 1_000_000_000,
    "RATELIMIT_PER_MINUTE": 10_000_000,
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": 1_000_000,
    "RATELIMIT_REFILL_RATE": 12.5,
    "RATELIMIT_DAY_ZONE": "Europe/Berlin",
    "WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8",
    "TOKEN_MAX_AGE_DAYS": 7,
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318/v1/traces",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_SDK_DISABLED": False,
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.25",
    "OTEL_RESOURCE_ATTRIBUTES": "team=reviews",
    "OTEL_BSP_MAX_QUEUE_SIZE": 1_000_000,
}
"""Values of settings that only some values fit, or whose numbers YAML could spoil."""


def sample(name: str, schema: dict[str, Any]) -> Any:
    """A value other than the default, where the kind of the setting allows one."""
    if name in SAMPLES:
        return SAMPLES[name]
    kind = schema["type"]
    return {"boolean": True, "string": "text", "integer": schema.get("minimum", 0) + 2, "number": 1.5}[kind]


def test_every_setting_of_the_service_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]["properties"]
    given = {name: sample(name, schema) for name, schema in told.items()}
    secrets = {"API_KEYS": {"value": API_KEY}, "KAFKA_SASL_PASSWORD": {"value": "secret-of-kafka"}}
    secrets |= {"DATABASE_URL": {"value": DATABASE_URL}, "KAFKA_SSL_KEY_PASSWORD": {"value": "secret-of-the-key"}}
    secrets |= {"OTEL_EXPORTER_OTLP_HEADERS": {"value": "x-key=secret-of-the-collector"}}
    objects = render({"mode": "single", "settings": given, "secrets": secrets})
    (one,) = workloads(objects)
    settings = loaded(one, objects, tmp_path / "secrets", monkeypatch)
    for variable in variables(Settings):
        if variable.name in given:
            assert written(reduce(getattr, variable.path, settings)) == written(given[variable.name]), variable.name
    assert settings.kafka.sasl_password.get_secret_value() == "secret-of-kafka"
    assert settings.kafka.ssl_key_password.get_secret_value() == "secret-of-the-key"
    assert settings.tracing.exporter_otlp_headers.get_secret_value() == "x-key=secret-of-the-collector"


def written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3f}" if isinstance(value, int | float) else str(value)
