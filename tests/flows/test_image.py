"""The command of the image, with the settings that compose.yaml gives it, on a real PostgreSQL and a real Kafka."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT, Service, upstream
from tests.support.simulator import simulator_process
from tests.support.stack import Stack
from tests.unit.tooling.test_deployment import DOCKERFILE, composed

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka]

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


async def test_the_command_of_the_image_serves_with_the_settings_of_compose(servers: Stack) -> None:
    def serve() -> None:
        health, start = commands_of_the_image()
        with simulator_process("--accounts", "1", "--locations", "2", "--reviews", "60") as google:
            own = servers.environment | {"GOOGLE_API_BASE_URL": google}
            own.pop("TOKEN_SEALING_KEYS")
            settings = given_by_compose(servers.directory) | own
            assert settings["ENVIRONMENT"] == "production"
            log = servers.directory / "service.log"
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
            with log.open("wb") as output:
                process = subprocess.Popen(
                    at(start, 0),
                    env=environment,
                    cwd=servers.directory,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            service = Service(process, log)
            service.headers = {"X-API-Key": API_KEY}
            try:
                service.started()
                job = service.job_ended(service.submit("ya29.token-for-the-image"))
                assert job["status"] == "completed", job
                assert service.exported(job["job_id"]) == upstream(google, "ya29.token-for-the-image")
                subprocess.run(at(health, service.address[1]), check=True)
                service.terminate()
            finally:
                if process.poll() is None:
                    service.kill()

    await asyncio.to_thread(serve)
