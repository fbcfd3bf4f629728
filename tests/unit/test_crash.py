"""Crash points: harmless until armed, and deadly at exactly the pass that was named."""

import os
import signal
from collections.abc import Iterator

import pytest

from app.crash import CrashPoint, arm, crash_point


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("app.crash.os.kill", lambda pid, number: killed.append((pid, number)))
    yield killed
    arm(None)


def test_nothing_happens_unless_armed(deaths: list[tuple[int, int]]) -> None:
    for point in CrashPoint:
        crash_point(point)
    assert deaths == []


@pytest.mark.parametrize("point", CrashPoint)
def test_the_named_pass_of_the_named_point_kills(point: CrashPoint, deaths: list[tuple[int, int]]) -> None:
    arm(f"{point}:3")
    for other in set(CrashPoint) - {point}:
        crash_point(other)
    crash_point(point)
    crash_point(point)
    assert deaths == []
    crash_point(point)
    assert deaths == [(os.getpid(), signal.SIGKILL)]
    crash_point(point)
    assert len(deaths) == 1


@pytest.mark.parametrize("setting", ["settled", "settled:", "settled:0", "settled:-1", "settled:x", "nowhere:1", ":1"])
def test_a_setting_that_names_no_point_is_refused_with_those_that_exist(setting: str) -> None:
    with pytest.raises(ValueError, match="before-job-commit"):
        arm(setting)


@pytest.mark.parametrize("setting", [None, ""])
def test_an_empty_setting_disarms(setting: str | None, deaths: list[tuple[int, int]]) -> None:
    arm("settled:1")
    arm(setting)
    crash_point(CrashPoint.SETTLED)
    assert deaths == []
