"""compose.yaml, Dockerfile, and what compose mounts, by what tells without a Docker daemon whether they hold."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings, variables
from tests.support.machine import program

PROJECT = Path(__file__).resolve().parents[3]
COMPOSE = PROJECT / "compose.yaml"
DOCKERFILE = PROJECT / "Dockerfile"
PROXY = PROJECT / "deploy/proxy/haproxy.cfg"

BROKERS = {"kafka-1", "kafka-2", "kafka-3"}

REQUIRED = {
    "POSTGRES_PASSWORD": "secret",
    "API_KEYS": "secret",
    "TOKEN_SEALING_KEYS": "1:secret",
    "GRAFANA_PASSWORD": "secret",
}
"""What a user must set before anything starts."""


def composed(directory: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **settings}
    command = [program("docker-compose"), "--file", str(COMPOSE), "--project-directory", str(directory), "config"]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def services() -> dict[str, dict[str, Any]]:
    """Those of compose.yaml by name, with what they share merged in."""
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def mounted(service: str) -> dict[str, Path]:
    """Where in a container → which file or folder of the project is there."""
    found = {}
    for volume in services()[service].get("volumes", []):
        source, target, *how = volume.split(":")
        if source.startswith("."):
            assert how == ["ro"], volume
            found[target] = PROJECT / source
    return found


def block(name: str) -> str:
    """The lines below a key of compose.yaml, down to the next of its depth."""
    found = re.search(rf"^( *){name}:.*\n((?:\1 +.*\n|\n)+)", COMPOSE.read_text(), re.MULTILINE)
    assert found is not None, name
    return found[2]


def test_compose_takes_the_file_when_the_secrets_are_set(tmp_path: Path) -> None:
    done = composed(tmp_path, REQUIRED)
    assert done.returncode == 0, done.stderr
    assert "replicas: 3" in done.stdout


@pytest.mark.parametrize("missing", REQUIRED)
def test_compose_refuses_to_start_without_a_secret_and_says_how_to_make_one(missing: str, tmp_path: Path) -> None:
    done = composed(tmp_path, {name: value for name, value in REQUIRED.items() if name != missing})
    assert done.returncode != 0
    assert "openssl rand" in done.stderr.splitlines()[-1]


def test_every_variable_that_compose_gives_to_the_service_is_a_setting() -> None:
    given = re.findall(r"^  ([A-Z_]+):", block("x-settings"), re.MULTILINE)
    assert len(given) > 10
    assert set(given) <= {variable.name for variable in variables(Settings)}


def test_every_variable_that_compose_reads_is_a_setting_or_its_own() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    own = {"POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "GRAFANA_PORT"}
    assert read - {variable.name for variable in variables(Settings)} == own


def test_the_service_may_not_write_and_is_not_root() -> None:
    service = block("service")
    assert 'user: "10001:10001"' in service
    assert "read_only: true" in service
    assert "tmpfs: [/tmp]" in service
    assert "USER 10001:10001" in DOCKERFILE.read_text().splitlines()


@pytest.mark.parametrize("name", services())
def test_every_container_is_without_capabilities_and_cannot_get_any(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert service.get("privileged") is None
    assert service["logging"]["options"]["max-size"] == "50m"
    assert service["healthcheck"]["test"][0] == "CMD", "and not through a shell"


@pytest.mark.parametrize("name", sorted(services().keys() - BROKERS))
def test_every_container_but_kafka_has_a_root_that_it_cannot_write_and_is_not_root(name: str) -> None:
    """Kafka's start writes its configuration beside its program; its image's user is not root either."""
    service = services()[name]
    assert service["read_only"] is True
    assert str(service["user"]).split(":")[0] not in ("0", "root")


def test_every_image_is_a_version_and_not_whatever_is_newest() -> None:
    own = {"service", "simulator"}
    images = {name: service["image"] for name, service in services().items() if name not in own}
    assert all(re.search(r":v?\d+(\.\d+)*(-alpine)?$", image) for image in images.values()), images
    assert all(services()[name]["build"] == "." for name in own)


def test_what_is_published_is_published_on_this_machine_alone() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) == 2 + len(BROKERS)
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_those_who_watch_reach_the_replicas_and_no_store() -> None:
    networks = {name: set(service["networks"]) for name, service in services().items()}
    watched = {name for name, places in networks.items() if places & networks["prometheus"]}
    assert watched == {"prometheus", "grafana", "service"}
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["watching"] == {"internal": True}


@pytest.mark.parametrize("name", services())
def test_what_compose_mounts_is_there_and_cannot_be_written(name: str) -> None:
    assert [path for path in mounted(name).values() if not path.exists()] == []


def test_both_stages_are_built_from_one_image_that_can_be_pinned() -> None:
    text = DOCKERFILE.read_text()
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]
    assert text.index("ARG PYTHON=python:3.11-") < text.index("FROM ")


def test_a_stop_is_given_more_time_than_the_service_needs() -> None:
    assert "stop_grace_period: 30s" in block("service")


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
        for word in line.split()
    ]
    kept = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(kept)
    assert all((PROJECT / path).exists() for path in copied)


def test_every_command_of_the_dockerfile_is_in_the_form_that_passes_signals_on() -> None:
    commands = re.findall(r"^ *CMD (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert [json.loads(command)[0] for command in commands] == ["python", "python"]


def test_the_image_and_compose_ask_the_same_question_about_health() -> None:
    (asked, _) = re.findall(r"^ *CMD (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert services()["service"]["healthcheck"]["test"] == ["CMD", *json.loads(asked)]


def test_a_linter_of_dockerfiles_finds_nothing() -> None:
    """hadolint, with everything that it knows, and the shell in RUN by shellcheck."""
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", "--failure-threshold=style"]
    done = subprocess.run([*command, str(DOCKERFILE)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_labels_of_the_image_say_what_the_project_says_of_itself() -> None:
    text, project = DOCKERFILE.read_text(), tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert f'org.opencontainers.image.description="{project["description"]}"' in text
    assert f'org.opencontainers.image.licenses="{project["license"]}"' in text


def test_prometheus_takes_its_configuration_and_the_rules_where_compose_mounts_them(tmp_path: Path) -> None:
    for target, path in mounted("prometheus").items():
        place = tmp_path / target.removeprefix("/etc/prometheus/")
        (shutil.copytree if path.is_dir() else shutil.copy)(path, place)
    command = [program("promtool", "prometheus"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (rules,) = re.findall(r"(\d+) rules found", done.stdout)
    assert int(rules) > 0


def test_prometheus_scrapes_every_replica_at_the_port_that_has_their_metrics() -> None:
    (job, _) = yaml.safe_load((PROJECT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    environment = services()["service"]["environment"]
    assert (environment["METRICS"], environment["HOST"]) == ("open", "0.0.0.0")  # noqa: S104 - in a container
    (found,) = job["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["service"], environment["METRICS_PORT"])
    assert "ports" not in services()["service"]


def test_grafana_finds_its_source_and_its_dashboards_where_compose_puts_them() -> None:
    provisioning = mounted("grafana")["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/review-fetcher.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    dashboards = mounted("grafana")[provider["options"]["path"]]
    home = services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (dashboards / home.removeprefix(provider["options"]["path"] + "/")).exists()
    for path in dashboards.glob("*.json"):
        asked = {one["uid"] for one in sources_of(json.loads(path.read_text()))}
        assert asked <= {source["uid"], "${datasource}"}, path.name


def sources_of(part: Any) -> Iterator[dict[str, str]]:
    """Every data source that something in a dashboard asks, however deep."""
    if isinstance(part, dict):
        if isinstance(part.get("datasource"), dict) and part["datasource"].get("type") == "prometheus":
            yield part["datasource"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from sources_of(one)


def test_the_proxy_takes_its_configuration() -> None:
    done = subprocess.run(
        [program("haproxy"), "-c", "-f", str(PROXY)], check=False, capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
