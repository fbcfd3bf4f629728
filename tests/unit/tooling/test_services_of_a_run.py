"""A test run finds its services, or says why not; where they are required it does not pass without them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import services
from tests.support.services import NOT_INSTALLED, Services


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, ...]]]:
    """`answer(up=code, env=output)` replaces `scripts/services.py`; returns the calls it will get."""

    def replace(*, up: int, env: str = "") -> list[tuple[str, ...]]:
        calls: list[tuple[str, ...]] = []

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            calls.append(arguments)
            if arguments[0] == "up":
                return subprocess.CompletedProcess(arguments, up, "KAFKA_BOOTSTRAP_SERVERS=started:1\n", "no Java")
            return subprocess.CompletedProcess(arguments, 0, env, "")

        monkeypatch.setattr(services, "run", run)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        return calls

    return replace


def test_the_application_under_test_does_not_see_the_services_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/x")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")

    found = Services.from_environment()

    assert (found.locate("postgresql"), found.locate("kafka")) == ("postgresql://u:p@db/x", "broker:9092")
    assert not {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"} & os.environ.keys()


def test_a_database_that_is_not_postgresql_is_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[..., list[tuple[str, ...]]]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///reviews.db")
    answer(up=0, env="DATABASE_URL=postgresql://running/\n")

    assert Services.from_environment().locate("postgresql") == "postgresql://running/"


def test_a_running_service_is_used_and_stays(answer: Callable[..., list[tuple[str, ...]]]) -> None:
    calls = answer(up=0, env="KAFKA_BOOTSTRAP_SERVERS=running:1\n")
    run = Services({}, required=False)

    assert run.locate("kafka") == "running:1"
    run.end()

    assert [call[0] for call in calls] == ["env"]


def test_a_service_that_the_run_started_ends_with_it(answer: Callable[..., list[tuple[str, ...]]]) -> None:
    calls = answer(up=0)
    run = Services({}, required=False)

    assert run.locate("kafka") == "started:1"
    run.end()

    started, ended = calls[1], calls[2]
    assert (started[0], ended[0]) == ("up", "down")
    assert started[-1] == ended[-1]


def test_a_machine_without_java_skips_with_the_reason(answer: Callable[..., list[tuple[str, ...]]]) -> None:
    answer(up=NOT_INSTALLED)

    with pytest.raises(pytest.skip.Exception, match="no Java"):
        Services({}, required=False).locate("kafka")


@pytest.mark.parametrize(("code", "required"), [(NOT_INSTALLED, True), (1, False)])
def test_a_service_that_is_required_or_broken_fails(
    code: int, required: bool, answer: Callable[..., list[tuple[str, ...]]]
) -> None:
    answer(up=code)

    with pytest.raises(pytest.fail.Exception, match="kafka did not start"):
        Services({}, required=required).locate("kafka")
