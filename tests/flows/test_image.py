"""The command of the image as compose.yaml runs it: its settings, its user, a root that cannot be written. No Docker.

On a real PostgreSQL and a real Kafka, and alone on a SQLite file.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.sealed_root import USER, sealed
from tests.support.service import ROOT, Service, upstream
from tests.support.simulator import simulator_process
from tests.support.stack import Stack
from tests.unit.tooling.test_deployment import DOCKERFILE, composed

API_KEY = "a-key-for-these-tests-alone"
SECRETS = {
    "POSTGRES_PASSWORD": "not-used-here",
    "API_KEYS": API_KEY,
    "TOKEN_SEALING_KEYS": "1:" + base64.b64encode(bytes(32)).decode(),
}


def given_by_compose(directory: Path) -> dict[str, str]:
    """The environment of the service, as docker-compose resolves it."""
    resolved = composed(directory, SECRETS).stdout
    (service,) = re.findall(r"^  service:\n((?:    .*\n)+)", resolved, re.MULTILINE)
    (environment,) = re.findall(r"^    environment:\n((?:      .*\n)+)", service, re.MULTILINE)
    pairs = (line.strip().partition(": ") for line in environment.splitlines())
    return {name: value.strip("'\"") for name, _, value in pairs}


def commands_of_the_image() -> tuple[list[str], list[str]]:
    """How it is asked for its health, and how it is started."""
    health, start = re.findall(r"^ *CMD (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return json.loads(health), json.loads(start)


def at(words: list[str], port: int) -> list[str]:
    """The command with the Python of these tests, on the loopback alone and on another port."""
    here = [word.replace("8000", str(port)) for word in words]
    if "--host" in here:
        here[here.index("--host") + 1] = "127.0.0.1"
    return [sys.executable, *here[1:]]


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_the_command_of_the_image_serves_with_the_settings_of_compose(servers: Stack) -> None:
    """ASVS 5.0 V13: least privilege."""

    def serve() -> None:
        health, start = commands_of_the_image()
        with simulator_process("--accounts", "1", "--locations", "2", "--reviews", "60") as google:
            own = servers.environment | {"GOOGLE_API_BASE_URL": google}
            own.pop("TOKEN_SEALING_KEYS")
            settings = given_by_compose(servers.directory) | own
            assert settings["ENVIRONMENT"] == "production"
            log = servers.directory / "service.log"
            data = servers.directory / "data"
            with running(sealed(at(start, 0), servers.directory, data), settings, log) as service:
                job = service.job_ended(service.submit("ya29.token-for-the-image"))
                assert job["status"] == "completed", job
                assert service.exported(job["job_id"]) == upstream(google, "ya29.token-for-the-image")
                subprocess.run(sealed(at(health, service.address[1]), servers.directory, data), check=True)
                assert_powerless(service.pid)
                service.terminate()
            assert list(data.iterdir()) == []

    await asyncio.to_thread(serve)


def test_the_image_keeps_its_store_in_the_only_folder_that_it_may_write(tmp_path: Path) -> None:
    _, start = commands_of_the_image()
    data, log = tmp_path / "data", tmp_path / "service.log"
    settings = {"ENVIRONMENT": "development", "API_KEYS": API_KEY}
    with running(sealed(at(start, 0), tmp_path, data), settings, log) as service:
        job = service.job_ended(service.submit("ya29.sim-accounts1-locations2-reviews30-seed1"))
        assert job["status"] == "completed", job
        assert_powerless(service.pid)
        command = str(Path(sys.executable).with_name("review-fetcher"))
        for words in (["jobs", "pause", job["job_id"]], ["reviews", "export", job["job_id"], "--out", "-"]):
            subprocess.run(
                sealed([command, *words], tmp_path, data), check=False, env=surroundings(settings), capture_output=True
            )
        told = subprocess.run(
            sealed([command, "audit", "--json"], tmp_path, data),
            check=True,
            env=surroundings(settings),
            capture_output=True,
            text=True,
        ).stdout
        done = [json.loads(line) for line in told.splitlines()]
        assert [(entry["action"], entry["actor"].partition("-")[0]) for entry in done] == [
            ("job.submit", "env"),
            ("reviews.export", f"cli:{USER}"),
        ]
        service.terminate()
    assert {path.name for path in data.iterdir()} >= {"review-fetcher.db", "sealing.key"}
    assert {path.stat().st_uid for path in data.iterdir()} == {USER}


PROBE = """
import os, pathlib, stat
tried, written = [], []
for folder, _, _ in os.walk("/"):
    if folder.startswith(("/proc", "/work/.venv/lib")):
        continue
    tried.append(folder)
    try:
        pathlib.Path(folder, "probe").write_text("x")
        written.append(folder)
    except OSError:
        pass
shells = ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/env", "/bin/busybox")
tools = [path for path in shells if os.path.exists(path)]
assert len(tried) > 100, tried
print(written, tools)
"""


def test_nothing_else_can_be_written_there_and_there_is_no_shell(tmp_path: Path) -> None:
    """And as root of a namespace: the root itself is read-only, whoever asks."""
    command = sealed([sys.executable, "-c", PROBE], tmp_path, tmp_path / "data")
    found = subprocess.run(command, check=True, env=surroundings({}), capture_output=True, text=True).stdout
    assert found == "['/srv/review-fetcher/data', '/tmp'] []\n"


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    """What the Dockerfile's ENV says, for a checkout."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",  # noqa: S108 - a file system of its own
        **settings,
    }


@contextmanager
def running(command: list[str], settings: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Started and ready; killed if it still runs in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=surroundings(settings), stdout=output, stderr=subprocess.STDOUT)
    service = Service(process, log)
    service.headers = {"X-API-Key": API_KEY}
    try:
        yield service.started()
    finally:
        if process.poll() is None:
            service.kill()


def assert_powerless(pid: int) -> None:
    """The user of the image, no capability, and none to be had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == status["Gid"] == [str(USER)] * 4
    assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
