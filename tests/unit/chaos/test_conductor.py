"""Rounds are carried out, and what could not be is told."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from chaos import conductor
from chaos.arena import Arena, Case
from chaos.checks import Sample
from chaos.conductor import Conductor, described
from chaos.records import Records
from chaos.store import Timeline


class Working:
    """Stands for the store, the timeline, the reader and the replicas of a service that goes on at once."""

    def __init__(self) -> None:
        self.pages = 0
        self.fleet = self.store = self

    @property
    def now(self) -> Sample:
        self.pages += 1
        return Sample(0.0, self.pages, 0, 1)

    def eventually(self, ask: Any) -> Any:
        return ask(self)

    def held(self) -> dict[int, int]:
        return {1: 1}

    def still(self, tasks: dict[int, int]) -> int:
        return 0

    def look(self) -> int:
        return self.pages

    def revive(self) -> list[int]:
        return []

    def uniform(self, _low: float, _high: float) -> float:
        return 0.0

    @property
    def random(self) -> "Working":
        return self


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the two disturbances below did, in order."""
    done: list[str] = []

    def steps(name: str) -> Any:
        def disturb(_arena: Arena, case: Case) -> Iterator[float]:
            done.append(f"{name} begins")
            yield 0.0
            if name == "bad":
                raise AssertionError("it never came back")
            done.append(f"{name} ends")
            case.reached = True

        return disturb

    monkeypatch.setattr(conductor, "KNOWN", {name: steps(name) for name in ("good", "long", "bad")})
    return done


def a_conductor() -> Conductor:
    working = Working()
    return Conductor(cast(Arena, working), cast(Timeline, working), cast(Records, working), tell=lambda _: None)


def test_what_happens_together_begins_in_order_and_ends_in_reverse(told: list[str]) -> None:
    a_conductor().play_one(("long", "good"))
    assert told == ["long begins", "good begins", "good ends", "long ends"]


def test_a_disturbance_that_breaks_off_is_told_and_the_others_end_all_the_same(told: list[str]) -> None:
    playing = a_conductor()
    playing.play_one(("good", "bad"))
    good, bad = playing.cases
    assert (good.reached, bad.reached) == (True, False)
    assert "never came back" in described(bad)
    assert told[-1] == "good ends"


def test_so_many_rounds_are_played_as_are_wanted_at_least(told: list[str]) -> None:
    checks: list[int] = []
    playing = a_conductor()
    playing.play([("good",)] * 5, least=2, until=0.0, after_each=lambda: checks.append(len(playing.cases)))
    assert checks == [1, 2]


def test_work_that_does_not_go_on_has_no_recovery(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "RECOVERY_SECONDS", 0.0)
    monkeypatch.setattr(Working, "still", lambda *_: 1)
    playing = a_conductor()
    playing.play_one(("good",))
    assert playing.cases[0].recovered is None
