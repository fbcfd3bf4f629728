"""The table is green for a good run, and each thing that goes wrong turns the row red that is about it."""

from dataclasses import replace
from typing import Any

import pytest

from chaos.arena import Case
from chaos.checks import Accepted, Sample
from chaos.details import details
from chaos.judge import Findings
from chaos.verdict import Evidence, Limits, rows

A = ("locations/1", "a")


def call(sequence: int, time: float = 0.0, **other: Any) -> dict[str, Any]:
    usual = {"path": f"/v4/{sequence}", "page_token": "", "token": "t", "status": 200, "outcome": "ok"}
    return {"sequence": sequence, "time": time or float(sequence), "api": "reviews", **usual, **other}


def kill(**other: Any) -> Case:
    usual: dict[str, Any] = {"reached": True, "kills": 1, "in_flight": 1, "deaths": [2.5], "recovered": 1.0}
    return Case("kill", began=2.0, ended=4.0, **(usual | other))


@pytest.fixture
def good() -> Evidence:
    """A run of one kill, in which one page in flight was read again."""
    return Evidence(
        jobs=Accepted([], [], [], []),
        accepted=1,
        findings=Findings(),
        cases=[kill()],
        calls=[call(1), call(2), call(3, path="/v4/2")],
        samples=[Sample(0.0, 0, 0, 1), Sample(1.0, 1, 1, 1), Sample(1.5, 1, 2, 1)],
        received=[0.9, 1.6],
        stopped=[3.0],
        limits=Limits(capacity=2, rate=1.0, per_minute=4),
        poison=["poison-1"],
        buried=["poison-1", "poison-1"],
    )


def missed(evidence: Evidence) -> list[str]:
    return [row.name for row in rows(evidence) if row.kept is False]


def test_a_good_run_has_no_row_that_is_red(good: Evidence) -> None:
    assert missed(good) == []
    assert details(good) == []


def test_the_table_has_every_figure_that_was_asked_for(good: Evidence) -> None:
    found = {row.name: row.found for row in rows(good)}
    assert (found["cases"], found["kills"], found["calls wasted"]) == ("1", "1", "1 of 3")
    assert (found["recovery p50/p99"], found["SIGTERM to exit"]) == ("1.0 s / 1.0 s", "3.0 s")


@pytest.mark.parametrize(
    ("spoilt", "row"),
    [
        ({"findings": Findings(lost=1, examples=["1 lost"])}, "data lost"),
        ({"findings": Findings(doubled=1, examples=["1 doubled"])}, "data doubled"),
        ({"jobs": Accepted(["1"], [], [], [])}, "data lost"),
        ({"jobs": Accepted([], ["1"], [], [])}, "jobs stuck"),
        ({"jobs": Accepted([], [], ["1"], [])}, "jobs not completed"),
        ({"jobs": Accepted([], [], [], ["1"])}, "data doubled"),
        ({"counters_off": ["1"]}, "jobs miscounted"),
        ({"refused": ["400: no"]}, "jobs not completed"),
        ({"calls": [call(1), call(2), call(5, path="/v4/1"), call(6, path="/v4/2")]}, "calls wasted"),
        ({"calls": [call(3), call(4, path="/v4/3")]}, "calls wasted"),
        ({"calls": [call(1, 9.0), call(2, 9.0), call(3, 9.0)]}, "worst quota window"),
        ({"calls": [call(1, 1.0), call(2, 20.0), call(3, 40.0), call(4, 50.0), call(5, 60.0)]}, "worst quota window"),
        ({"cases": [kill(recovered=31.0)]}, "recovery p50/p99"),
        ({"cases": [kill(recovered=None)]}, "recovery p50/p99"),
        ({"received": [0.9, 6.1]}, "reader stall"),
        ({"stopped": [3.0, 25.1]}, "SIGTERM to exit"),
        ({"buried": []}, "poison not buried"),
        ({"fell": [2]}, "replicas fallen"),
        ({"secrets": ["topic reviews-raw: text"]}, "secrets left in"),
        ({"cases": [kill(), Case("zombie", recovered=1.0)]}, "not tested"),
        ({"cases": [kill(failed="it never started again")]}, "not tested"),
    ],
)
def test_each_thing_that_goes_wrong_is_told(good: Evidence, spoilt: dict[str, Any], row: str) -> None:
    assert missed(replace(good, **spoilt)) == [row]


def test_an_outage_excuses_a_late_record_and_a_kill_does_not(good: Evidence) -> None:
    late = replace(good, received=[0.9, 6.1])
    assert missed(late) == ["reader stall"]
    assert missed(replace(late, cases=[kill(outage=True)])) == []


def test_a_run_in_which_nothing_was_accepted_or_read_proves_nothing(good: Evidence) -> None:
    assert missed(replace(good, accepted=0, received=[])) == ["jobs accepted", "reviews read"]


def test_what_was_missed_is_told_in_words(good: Evidence) -> None:
    good = replace(good, received=[0.9, 7.5])
    told = details(
        replace(good, jobs=Accepted(["1"], ["2"], [], []), cases=[Case("zombie", 50.0, 60.0)], fell=[3], buried=[])
    )
    assert [line.split()[1] for line in told[:2]] == ["1", "2"]
    assert any("zombie was not tested" in line for line in told)
    assert any("poison-1 is not on the dead-letter topic" in line for line in told)
    assert any("replica 3" in line for line in told)
    assert told[-1] == "a review waited 6.5 s for the reader, while nothing was disturbed"
    assert details(replace(good, received=[0.9, 7.5]))[-1].endswith("from -1.0 to +5.5 s of kill")
