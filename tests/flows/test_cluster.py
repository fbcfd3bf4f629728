"""`make cluster`: the whole deployment starts, works with a broker less, is watched, and ends without a trace."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource

from app.models.events import Topic
from cluster import plan as plans
from cluster.asking import ask
from cluster.local import PROJECT
from cluster.plan import Plan
from cluster.watcher import RULES
from tests.support.service import ENDED, JOBS, eventually

pytestmark = pytest.mark.alone

NOT_INSTALLED = 3
START_SECONDS = 240
TOKEN = "ya29.sim-accounts1-locations4-reviews60-seed1-"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line(*arguments), cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode == NOT_INSTALLED and os.environ.get("REQUIRE_SERVICES") != "1":
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
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


def ready(plan: Plan) -> list[int]:
    return [ask(port, "/readyz").status for port, _ in plan.replicas]


@pytest.mark.timeout(START_SECONDS)
def test_it_works_with_one_broker_killed_is_watched_and_leaves_nothing(place: Path) -> None:
    said = command("up", "--directory", str(place)).stdout
    plan = planned(place)
    key = {"X-API-Key": plan.api_key}

    (tried,) = (text for text in said.splitlines() if text.startswith("curl") and "access_token" in text)
    answered = subprocess.run(shlex.split(tried), capture_output=True, text=True, check=True)
    first = re.search(r'"job_id":"([^"]+)"', answered.stdout)
    assert first is not None, answered
    completed(plan, first[1])
    assert topics(plan) == dict.fromkeys(Topic, ({3}, "2", True))

    os.kill(pid_of(place, "kafka-1"), signal.SIGKILL)
    accepted = [ask(plan.nginx, JOBS, {"access_token": f"{TOKEN}{number}"}, key) for number in range(6)]
    assert [answer.status for answer in accepted] == [202] * 6
    for answer in accepted:
        completed(plan, answer.json()["job_id"])
    assert ready(plan) == [200] * 3
    assert re.search(r"^kafka-1 +stopped", command("status", "--directory", str(place)).stdout, re.MULTILINE)

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
    if starting.poll() == NOT_INSTALLED and os.environ.get("REQUIRE_SERVICES") != "1":
        pytest.skip("a program is not installed")
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
