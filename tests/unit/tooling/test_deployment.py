"""compose.yaml, Dockerfile and the proxy's configuration, by what tells without a Docker daemon whether they hold."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.config import Settings, variables

PROJECT = Path(__file__).resolve().parents[3]
COMPOSE = PROJECT / "compose.yaml"
DOCKERFILE = PROJECT / "Dockerfile"
PROXY = PROJECT / "deploy/proxy/haproxy.cfg"

REQUIRED = {"POSTGRES_PASSWORD": "secret", "API_KEYS": "secret", "TOKEN_SEALING_KEYS": "1:secret"}
"""What a user must set before anything starts."""


def program(name: str) -> str:
    """Its path; a machine without it skips the test with the reason, unless everything must be there."""
    found = shutil.which(name)
    if found is None:
        missing = f"there is no {name} here, which checks this: apt-get install {name}"
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)(missing)
    return found


def composed(directory: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **settings}
    command = [program("docker-compose"), "--file", str(COMPOSE), "--project-directory", str(directory), "config"]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


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


def test_every_variable_that_compose_reads_is_a_setting_or_a_password_of_its_own() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert read - {variable.name for variable in variables(Settings)} == {"POSTGRES_PASSWORD"}


def test_the_service_may_not_write_and_is_not_root() -> None:
    service = block("service")
    assert 'user: "10001:10001"' in service
    assert "read_only: true" in service
    assert "tmpfs: [/tmp]" in service
    assert "USER 10001:10001" in DOCKERFILE.read_text().splitlines()


def test_every_container_is_without_capabilities_and_cannot_get_any() -> None:
    careful = block("x-careful")
    assert "cap_drop: [ALL]" in careful
    assert 'security_opt: ["no-new-privileges:true"]' in careful
    services = COMPOSE.read_text().partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    names = re.findall(r"^  (\w+):$", services, re.MULTILINE)
    assert {"service", "proxy", "kafka", "postgresql", "simulator"} == set(names)
    assert services.count("    <<: *careful\n") == len(names)


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
    (asked,) = re.findall(r"urlopen\('http://127\.0\.0\.1:8000/\w+", DOCKERFILE.read_text())
    assert asked in block("service")


def test_the_proxy_takes_its_configuration() -> None:
    done = subprocess.run(
        [program("haproxy"), "-c", "-f", str(PROXY)], check=False, capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
