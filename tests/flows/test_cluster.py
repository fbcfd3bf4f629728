"""`make cluster`: all of it starts, works with a broker and a replica less, is mended, and ends without a trace."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource

from app.models.events import Topic
from cluster import plan as plans
from cluster.asking import ask
from cluster.local import PROJECT
from cluster.plan import Plan
from cluster.watcher import RULES
from tests.support.kafka import count_committed, read
from tests.support.machine import lacking
from tests.support.service import ENDED, JOBS, eventually, upstream

pytestmark = pytest.mark.alone

NOT_INSTALLED = 3
START_SECONDS = 240
TRIED = "ya29.any-token-will-do"
TOKEN = "ya29.sim-accounts1-locations4-reviews60-seed1-"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line(*arguments), cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode == NOT_INSTALLED:
        lacking(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cluster", *arguments]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for a cluster, which has none when the test is over, however it went."""
    directory = tmp_path / "cluster"
    yield directory
    subprocess.run(line("down", "--directory", str(directory)), cwd=PROJECT, check=True, capture_output=True)


def planned(place: Path) -> Plan:
    plan = plans.load(place)
    assert plan is not None
    return plan


def traces(home: str) -> list[str]:
    """What runs below the cluster's own directory, or names it."""
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and belongs(entry, home)]


def belongs(process: Path, home: str) -> bool:
    try:
        return home in str((process / "cwd").readlink()) or home.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def pid_of(place: Path, part: str) -> int:
    told = command("status", "--directory", str(place)).stdout
    found = re.search(rf"^{part} +pid (\d+)", told, re.MULTILINE)
    assert found is not None, told
    return int(found[1])


def submitted(plan: Plan, token: str) -> str:
    """Under a key: a replica that dies with a POST may have carried it out, and nginx repeats those alone."""
    headers = {"X-API-Key": plan.api_key, "Idempotency-Key": str(uuid4())}
    answer = ask(plan.nginx, JOBS, {"access_token": token}, headers)
    assert answer.status == 202, answer
    return str(answer.json()["job_id"])


def job(plan: Plan, job_id: str) -> dict[str, Any]:
    answer = ask(plan.nginx, f"{JOBS}/{job_id}", headers={"X-API-Key": plan.api_key})
    assert answer.status == 200, answer
    return dict(answer.json())


def completed(plan: Plan, job_id: str) -> None:
    eventually(lambda: job(plan, job_id)["status"] in ENDED, 60, "the end of the job", 0.2)
    assert job(plan, job_id)["status"] == "completed"


def watched(plan: Plan, question: str) -> Any:
    answer = ask(plan.prometheus, f"/api/v1/{question}")
    assert answer.status == 200, answer
    return answer.json()["data"]


def healthy_targets(plan: Plan) -> int:
    return sum(target["health"] == "up" for target in watched(plan, "targets")["activeTargets"])


def topics(plan: Plan) -> dict[str, tuple[set[int], str, bool]]:
    """Topic → copies of its partitions, how many must have a message, and whether the topic itself says so."""
    admin = AdminClient({"bootstrap.servers": plan.bootstrap_servers})
    found = admin.list_topics(timeout=10).topics
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.value) for topic in Topic]
    settings = {resource.name: answer.result(10) for resource, answer in admin.describe_configs(resources).items()}
    return {
        topic: (
            {len(partition.replicas) for partition in found[topic].partitions.values()},
            settings[topic]["min.insync.replicas"].value,
            settings[topic]["min.insync.replicas"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value,
        )
        for topic in Topic
    }


def read_by_job(plan: Plan) -> dict[str, list[tuple[str, str]]]:
    """Job id → location and id of each of its records on reviews-raw, as often as it is there."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in asyncio.run(read(plan.bootstrap_servers, Topic.REVIEWS_RAW)):
        review = json.loads(record.value() or b"")["message"]
        found[review["job_id"]].append((review["location"], review["review_id"]))
    return {job_id: sorted(reviews) for job_id, reviews in found.items()}


def ready(plan: Plan) -> list[int]:
    return [ask(port, "/readyz").status for port, _ in plan.replicas]


def worked_without(place: Path, plan: Plan, *parts: str) -> dict[str, str]:
    """Kill these; the jobs that were accepted and completed all the same: job id → token."""
    for part in parts:
        os.kill(pid_of(place, part), signal.SIGKILL)
    tokens = {submitted(plan, token): token for token in (f"{TOKEN}{number}" for number in range(6))}
    for job_id in tokens:
        completed(plan, job_id)
    assert ready(plan) == [0, 200, 200]
    told = command("status", "--directory", str(place)).stdout
    assert re.findall(r"^(\S+) +stopped", told, re.MULTILINE) == [*parts]
    return tokens


@pytest.mark.timeout(START_SECONDS)
def test_it_works_with_one_broker_killed_is_watched_and_leaves_nothing(place: Path) -> None:
    said = command("up", "--directory", str(place)).stdout
    plan = planned(place)

    (tried,) = (text for text in said.splitlines() if text.startswith("curl") and "access_token" in text)
    answered = subprocess.run(shlex.split(tried), capture_output=True, text=True, check=True)
    first = re.search(r'"job_id":"([^"]+)"', answered.stdout)
    assert first is not None, answered
    completed(plan, first[1])
    assert topics(plan) == dict.fromkeys(Topic, ({3}, "2", True))

    tokens = {first[1]: TRIED} | worked_without(place, plan, "kafka-1", "replica-1")
    there_are = {job_id: upstream(plan.google_url, token) for job_id, token in tokens.items()}
    reviews = sum(map(len, there_are.values()))
    eventually(lambda: count_committed(plan.bootstrap_servers, Topic.REVIEWS_RAW) >= reviews, 60, "all reviews", 0.5)

    os.kill(pid_of(place, "nginx"), signal.SIGKILL)
    assert "stopped" not in command("up", "--directory", str(place)).stdout
    assert planned(place) == plan
    assert ready(plan) == [200] * 3
    assert job(plan, first[1])["status"] == "completed"
    assert read_by_job(plan) == there_are

    eventually(lambda: healthy_targets(plan) == 3, 30, "three healthy targets", 0.5)
    known = {Path(group["file"]).name for group in watched(plan, "rules")["groups"]}
    assert known == {path.name for path in RULES.glob("*.yml")}

    assert len(traces(plan.home)) > 8
    command("down", "--directory", str(place))
    assert traces(plan.home) == []
    assert not Path(plan.home).exists()
    assert ask(plan.nginx, "/livez").status == 0


def test_a_start_that_is_killed_half_way_is_found_and_ended(place: Path) -> None:
    command("status", "--directory", str(place))
    with subprocess.Popen(line("up", "--directory", str(place)), cwd=PROJECT, stderr=subprocess.PIPE) as starting:
        begun = place / "processes" / "postgresql"
        eventually(partial(_half_way, starting, begun), 60, "the first processes", 0.01)
        starting.kill()
    home = planned(place).home
    assert traces(home)
    command("down", "--directory", str(place))
    assert traces(home) == []
    assert not Path(home).exists()


def _half_way(starting: "subprocess.Popen[bytes]", begun: Path) -> bool:
    if starting.poll() == NOT_INSTALLED:
        lacking("a program is not installed")
    assert starting.poll() is None, starting.stderr
    return begun.exists()


def test_ctrl_c_during_the_start_ends_what_was_started(place: Path) -> None:
    # What runs in the background of a script ignores SIGINT, and so do its children.
    command = ["/usr/bin/env", "--default-signal=INT", *line("up", "--directory", str(place))]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as starting:
        eventually(partial(_half_way, starting, place / "processes" / "kafka-2"), 60, "the first processes", 0.01)
        home = planned(place).home
        starting.send_signal(signal.SIGINT)
        assert starting.wait(60) == 130
    assert traces(home) == []
    assert not Path(home).exists()
    assert plans.load(place) is None
