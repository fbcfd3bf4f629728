"""The image, built by its Dockerfile's own lines, and run as the Dockerfile and compose.yaml say: its command, its
settings, its user, a root that cannot be written. No Docker.

Alone on a SQLite file, and on a real PostgreSQL and a real Kafka.
"""

import asyncio
import base64
import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pyarrow.parquet
import pytest
from releasing.source import read_source

from tests.support.image import REPOSITORY, Image
from tests.support.sealed_root import Network, own_network, sealed
from tests.support.service import ROOT, STOP_SECONDS, Service, eventually, upstream
from tests.support.simulator import simulator_process
from tests.support.stack import Stack
from tests.unit.tooling.test_deployment import composed

API_KEY = "a-key-for-these-tests-alone"
SECRETS = {
    "POSTGRES_PASSWORD": "not-used-here",
    "API_KEYS": API_KEY,
    "TOKEN_SEALING_KEYS": "1:" + base64.b64encode(bytes(32)).decode(),
    "GRAFANA_PASSWORD": "not-used-here",
}
ONE_BROKER = {"METRICS_PORT": "", "KAFKA_REPLICATION_FACTOR": "1"}
"""Compose has three; test_compose_kafka.py has their settings taken by Kafka itself."""

TOKEN = "ya29.sim-accounts1-locations2-reviews30-seed1"

pytestmark = pytest.mark.timeout(300)  # whoever is first fetches the packages and builds


def given_by_compose(directory: Path) -> dict[str, str]:
    """The environment of the service, as docker-compose resolves it."""
    resolved = composed(directory, SECRETS).stdout
    (service,) = re.findall(r"^  service:\n((?:    .*\n)+)", resolved, re.MULTILINE)
    (environment,) = re.findall(r"^    environment:\n((?:      .*\n)+)", service, re.MULTILINE)
    pairs = (line.strip().partition(": ") for line in environment.splitlines())
    return {name: value.strip("'\"") for name, _, value in pairs}


def at(words: list[str], port: int) -> list[str]:
    """The command on the loopback alone and on another port."""
    here = [word.replace("8000", str(port)) for word in words]
    if "--host" in here:
        here[here.index("--host") + 1] = "127.0.0.1"
    return here


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_the_command_of_the_image_serves_with_the_settings_of_compose(servers: Stack, image: Image) -> None:
    """ASVS 5.0 V13: least privilege."""

    def serve() -> None:
        stage, data = image.stage, servers.directory / "data"
        with simulator_process("--accounts", "1", "--locations", "2", "--reviews", "60") as google:
            own = servers.environment | {"GOOGLE_API_BASE_URL": google}
            own.pop("TOKEN_SEALING_KEYS")
            settings = stage.environment | given_by_compose(servers.directory) | ONE_BROKER | own
            assert settings["ENVIRONMENT"] == "production"
            start = sealed(at(stage.start, 0), image, servers.directory, data)
            with running(start, settings, servers.directory / "service.log") as process:
                service = Service(process, servers.directory / "service.log")
                service.headers = {"X-API-Key": API_KEY}
                service.started()
                job = service.job_ended(service.submit("ya29.token-for-the-image"))
                assert job["status"] == "completed", job
                assert service.exported(job["job_id"]) == upstream(google, "ya29.token-for-the-image")
                health = sealed(at(stage.health, service.address[1]), image, servers.directory, data)
                subprocess.run(health, check=True, env=stage.environment)
                assert_powerless(service.pid, image)
                service.terminate()
            assert list(data.iterdir()) == []

    await asyncio.to_thread(serve)


class Container:
    """What `docker run --read-only` starts: the image's own command, to the letter, in a network of its own."""

    def __init__(self, image: Image, directory: Path, network: Network) -> None:
        self.image = image
        self.directory = directory
        self.network = network
        self.data = directory / "data"
        self.settings = image.stage.environment | {
            "API_KEYS": API_KEY,
            "TOKEN_SEALING_KEYS": SECRETS["TOKEN_SEALING_KEYS"],
            "MOCK_GOOGLE_API": "false",
            "GOOGLE_API_BASE_URL": "http://127.0.0.1:8080",
        }

    def sealed(self, *words: str) -> list[str]:
        return sealed(list(words), self.image, self.directory, self.data, network=self.network)

    def execute(self, *words: str, **settings: str) -> bytes:
        """What `docker exec` prints. CalledProcessError when it fails."""
        environment = self.settings | settings
        return subprocess.run(self.sealed(*words), check=True, env=environment, stdout=subprocess.PIPE).stdout

    def is_healthy(self) -> bool:
        command = self.sealed(*self.image.stage.health)
        return subprocess.run(command, check=False, env=self.settings, capture_output=True).returncode == 0


SIMULATE = ("review-fetcher", "simulate", "--host=0.0.0.0", "--port=8080")
ASK = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen('http://127.0.0.1:8000/readyz').read())"


def test_the_image_runs_by_its_own_command_and_writes_nothing_but_its_store(tmp_path: Path, image: Image) -> None:
    with own_network() as network:
        container = Container(image, tmp_path, network)
        assert not container.is_healthy(), "and nobody listens yet"
        log = tmp_path / "service.log"
        with (
            running(container.sealed(*SIMULATE), container.settings, tmp_path / "simulator.log"),
            running(container.sealed(*image.stage.start), container.settings, log) as process,
        ):
            eventually(lambda: alive(process, log) and container.is_healthy(), 120, f"health: {log}", every=0.2)
            assert json.loads(container.execute("python", "-c", ASK))["ready"] is True
            job = submitted(container)
            assert_files_are_taken(container, job)
            assert_powerless(process.pid, image)
            assert written(process.pid, "/tmp") == []  # noqa: S108 - a file system of its own
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) in (0, -signal.SIGTERM)
            assert "service.stopped" in log.read_text()
    assert {path.name for path in container.data.iterdir()} >= {"review-fetcher.db"}
    assert {path.stat().st_uid for path in container.data.iterdir()} == {image.stage.user[0]}


def alive(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return True


def submitted(container: Container) -> str:
    """The id of a job that completed, from the command line within the image to the server in it."""
    asked = {"REVIEW_FETCHER_URL": "http://127.0.0.1:8000", "REVIEW_FETCHER_API_KEY": API_KEY}
    container.execute("review-fetcher", "jobs", "submit", "--watch", REVIEW_FETCHER_TOKEN=TOKEN, **asked)
    (job,) = json.loads(container.execute("review-fetcher", "jobs", "list", "--json", **asked))["jobs"]
    assert job["status"] == "completed", job
    return str(job["job_id"])


def assert_files_are_taken(container: Container, job: str) -> None:
    """Each form, Parquet too: of pyarrow, the image holds a part. And the audit log names the user of the image."""
    export = ("review-fetcher", "reviews", "export", job, "--out", "-")
    assert len(container.execute(*export).splitlines()) == 60
    parquet = container.execute(*export, "--format", "parquet")
    assert pyarrow.parquet.read_table(BytesIO(parquet)).num_rows == 60
    told = container.execute("review-fetcher", "audit", "--json").splitlines()
    done = [(entry["action"], entry["actor"].partition("-")[0]) for entry in map(json.loads, told)]
    user = container.image.stage.user[0]
    assert done == [("job.submit", "env"), ("reviews.export", f"cli:{user}"), ("reviews.export", f"cli:{user}")]


def written(pid: int, folder: str) -> list[str]:
    return [path.name for path in Path(f"/proc/{pid}/root{folder}").iterdir()]


PROBE = """
import os, pathlib, stat
tried, written = [], []
for folder, _, _ in os.walk("/"):
    if folder.startswith("/proc"):
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


def test_nothing_else_can_be_written_there_and_there_is_no_shell(tmp_path: Path, image: Image) -> None:
    """And as root of a namespace: the root itself is read-only, whoever asks."""
    command = sealed(["python", "-c", PROBE], image, tmp_path, tmp_path / "data")
    found = subprocess.run(command, check=True, env=image.stage.environment, capture_output=True, text=True).stdout
    assert found == "['/srv/review-fetcher/data', '/tmp'] []\n"


def test_the_image_holds_the_service_and_nothing_that_installs_tests_or_writes(image: Image) -> None:
    data = image.tree / "data"
    assert {path.name for path in image.tree.iterdir()} == {".venv", "data"}
    assert (data.stat().st_uid, data.stat().st_gid, list(data.iterdir())) == (*image.stage.user, [])
    (packages,) = (image.tree / ".venv/lib").glob("python*/site-packages")
    assert {"app", "pyarrow", "fastapi"} <= {path.name for path in packages.iterdir()}
    assert [name for name in ("pip", "uv", "setuptools", "pytest", "hatchling") if (packages / name).exists()] == []
    assert not (image.tree / ".venv/bin/uv").exists()
    assert list(packages.glob("*/tests")) == []
    others = [path for path in image.tree.rglob("*") if path != data and not path.is_symlink()]
    assert [path for path in others if path.stat().st_uid or path.stat().st_mode & (stat.S_IWOTH | stat.S_ISUID)] == []


def test_the_image_is_small(image: Image) -> None:
    """Above its base, in bytes. docs/releasing.md tells about how much it is."""
    whole, (pyarrow_alone,) = image.tree, image.tree.glob(".venv/lib/python*/site-packages/pyarrow")
    weighed = weight(whole)
    sys.stdout.write(f"\nimage, MB: {weighed / 1e6:.0f}, of them pyarrow {weight(pyarrow_alone) / 1e6:.0f}\n")
    assert weighed < 290_000_000
    assert 0.35 < weight(pyarrow_alone) / weighed < 0.45


def weight(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def test_the_labels_of_the_image_say_what_it_is_and_of_which_commit(image: Image) -> None:
    source = read_source(ROOT)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in image.stage.labels.items()}
    assert (labels["version"], labels["revision"]) == (source.version, source.revision)
    assert (labels["title"], labels["source"]) == ("Review Fetcher", REPOSITORY)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])
    assert labels.keys() == {"title", "description", "version", "revision", "created", "source", "licenses"}


@contextmanager
def running(command: list[str], settings: Mapping[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Killed if it still runs in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=settings, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)


def assert_powerless(pid: int, image: Image) -> None:
    """The user of the image, no capability, and none to be had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    user, group = image.stage.user
    assert (status["Uid"], status["Gid"]) == ([str(user)] * 4, [str(group)] * 4)
    assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
