"""Debian's Prometheus: its tool that checks rules and pages of metrics, and the server on a loopback port."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.machine import program
from tests.support.service import Service, eventually

RULES = Path(__file__).resolve().parents[2] / "deploy/monitoring/rules/review-fetcher.yml"

START_SECONDS = 30.0


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=text)


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_ready(self) -> bool:
        """Not while it still reads what it stored."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    def get(self, path: str, **query: str) -> Any:
        """What is under `data` of the answer; AssertionError with its error when it refuses."""
        try:
            address = f"{self.url}/api/v1/{path}?{urlencode(query)}"
            with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {query}: {error.read().decode()}") from error

    def value(self, expression: str) -> float | None:
        """Of the first series; None when there is none."""
        result = self.get("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"}

    def labels_of(self, metric: str) -> set[str]:
        """Empty when it has no series."""
        return set(self.get("labels", **{"match[]": metric}))


@contextmanager
def running_prometheus(
    directory: Path, services: Sequence[Service], *, interval: str = "1s", rules: Path = RULES
) -> Iterator[Prometheus]:
    """Scrapes the services under the job review-fetcher, each `interval`, and evaluates the rules as often."""
    directory.mkdir(exist_ok=True)
    (directory / "prometheus.json").write_text(json.dumps(_configuration(services, interval, rules)))
    log = directory / "prometheus.log"
    command = [program("prometheus"), f"--config.file={directory / 'prometheus.json'}"]
    command += [f"--storage.tsdb.path={directory / 'data'}", "--web.listen-address=127.0.0.1:0"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            url = eventually(lambda: _address(log), START_SECONDS, f"start of Prometheus: {log}")
            prometheus = Prometheus(url)
            eventually(prometheus.is_ready, START_SECONDS, f"readiness of Prometheus: {log}")
            yield prometheus
        finally:
            process.terminate()


def _address(log: Path) -> str | None:
    found = re.search(r'msg="Listening on" address=(\S+)', log.read_text())
    return found and f"http://{found[1]}"


def _configuration(services: Sequence[Service], interval: str, rules: Path) -> Mapping[str, Any]:
    targets = ["{}:{}".format(*service.address) for service in services]
    scrape = {"job_name": "review-fetcher", "static_configs": [{"targets": targets}]}
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape],
    }
