"""Prometheus with the configuration of compose.yaml: it finds every replica by the name server, and reads its metrics.

A network of its own stands for Docker's: its name server is at the same address and tells where the replicas are.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import program
from tests.support.sealed_root import Network, own_network
from tests.support.service import ROOT, eventually
from tests.unit.tooling.test_deployment import mounted, services

REPLICAS = ("127.0.0.2", "127.0.0.3")

NAME_SERVER = """
import socket, struct, sys
addresses = [socket.inet_aton(address) for address in sys.argv[1:]]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.11", 53))
while True:
    question, client = server.recvfrom(512)
    length = question.index(0, 12) + 5
    name, (kind,) = question[12 : length - 4], struct.unpack(">H", question[length - 4 : length - 2])
    found = addresses if name == b"\\7service\\0" and kind == 1 else []
    head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
    records = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 5, 4) + address for address in found)
    server.sendto(head + question[12:length] + records, client)
"""

BY_THIS_NAME_SERVER = """
set -e
echo "nameserver 127.0.0.11" > "$1/resolv.conf"
mount --bind "$1/resolv.conf" /etc/resolv.conf
shift
exec "$@"
"""

ASK = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=5).read())"


@pytest.mark.timeout(300)
def test_prometheus_finds_and_reads_every_replica_and_knows_the_rules(tmp_path: Path) -> None:
    with own_network() as network, ExitStack() as stack:
        stack.enter_context(running(network, [sys.executable, "-c", NAME_SERVER, *REPLICAS], tmp_path / "names.log"))
        for address in REPLICAS:
            stack.enter_context(replica(network, address, tmp_path / address))
        stack.enter_context(prometheus(network, tmp_path / "prometheus"))
        eventually(lambda: all_up(network), 200, "both replicas read by Prometheus", every=0.5)
        expected = {f"{address}:9464" for address in REPLICAS}
        eventually(lambda: tell_their_jobs(network) == expected, 30, "the jobs of both replicas", every=0.5)
        assert len(ask(network, "rules")["groups"]) > 0


def tell_their_jobs(network: Network) -> set[str]:
    """Instances whose last look, which may have taken too long, found them."""
    jobs = ask(network, "query?query=count(review_fetcher_jobs)by(instance)")["result"]
    return {one["metric"]["instance"] for one in jobs}


def all_up(network: Network) -> bool:
    try:
        targets = ask(network, "targets")["activeTargets"]
    except subprocess.CalledProcessError:  # it does not listen yet
        return False
    health = {one["labels"]["instance"]: one["health"] for one in targets if one["labels"]["job"] == "review-fetcher"}
    return health == {f"{address}:9464": "up" for address in REPLICAS}


def ask(network: Network, path: str) -> dict[str, Any]:
    command = within(network, [sys.executable, "-c", ASK, f"http://127.0.0.1:9090/api/v1/{path}"])
    said = subprocess.run(command, check=True, capture_output=True).stdout
    return dict(json.loads(said)["data"])


@contextmanager
def replica(network: Network, address: str, directory: Path) -> Iterator[None]:
    """With the settings that compose gives for metrics, but for its address: here the replicas share one host."""
    given = services()["service"]["environment"]
    settings = {name: str(given[name]) for name in ("METRICS", "METRICS_PORT")} | {"HOST": address}
    serve = [sys.executable, "-m", "uvicorn", "app.main:app", f"--host={address}", "--port=8000", f"--app-dir={ROOT}"]
    directory.mkdir()
    with running(
        network, serve, directory / "service.log", directory, settings | {"API_KEYS": "a-key-for-this-test-alone"}
    ):
        yield


@contextmanager
def prometheus(network: Network, directory: Path) -> Iterator[None]:
    """As compose starts it, but that it looks each second."""
    directory.mkdir()
    for target, path in mounted("prometheus").items():
        place = directory / target.removeprefix("/etc/prometheus/")
        (shutil.copytree if path.is_dir() else shutil.copy)(path, place)
    settings = directory / "prometheus.yml"
    settings.write_text(settings.read_text().replace("_interval: 15s", "_interval: 1s"))
    options = ["--web.listen-address=127.0.0.1:9090", f"--storage.tsdb.path={directory / 'data'}"]
    start = [program("prometheus"), f"--config.file={settings}", *options]
    isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BY_THIS_NAME_SERVER, "sh", str(directory)]
    with running(network, [*isolated, *start], directory / "prometheus.log", directory):
        yield


def within(network: Network, command: list[str]) -> list[str]:
    return ["nsenter", f"--net=/proc/{network.pid}/ns/net", *command]


@contextmanager
def running(
    network: Network,
    command: list[str],
    log: Path,
    directory: Path | None = None,
    settings: dict[str, str] | None = None,
) -> Iterator[None]:
    """Ended in the end. Its log is shown when the test fails."""
    surroundings = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **(settings or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(
            within(network, command), cwd=directory, env=surroundings, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(30)
        print(log.read_text(errors="replace")[-3000:])  # noqa: T201 - pytest shows it when the test fails
