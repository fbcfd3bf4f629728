"""The table is green for a good run, and each thing that goes wrong turns the row red that is about it."""

from dataclasses import replace
from typing import Any

import pytest

from chaos.arena import Case
from chaos.checks import Accepted, Sample
from chaos.details import details
from chaos.door import Door, Knock
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
        ({"findings": Findings(unread=[3])}, "reviews read"),
        ({"between": Findings(lost=1, examples=["1 lost"])}, "broken between rounds"),
        ({"between": Findings(doubled=1, examples=["1 doubled"])}, "broken between rounds"),
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


def away(**other: Any) -> Case:
    """One broker of three, gone for 40 s."""
    usual: dict[str, Any] = {"reached": True, "outage": True, "replaced": 20.0, "restored": 40.0, "recovered": 1.0}
    return Case("broker-away", began=0.0, ended=42.0, **(usual | other))


@pytest.fixture
def without_a_broker(good: Evidence) -> Evidence:
    """A run in which a page was settled and two records were read from the 20th second to the 40th."""
    seen = ((0.0, 1, 1), (19.0, 1, 1), (21.0, 2, 2), (35.0, 3, 2), (39.0, 3, 3), (41.0, 4, 4))
    samples = [Sample(second, pages, reviews, 1) for second, pages, reviews in seen]
    return replace(good, cases=[kill(), away()], samples=samples, received=[0.1, 22.0, 39.5, 42.0])


def test_work_that_goes_on_without_a_broker_is_told(without_a_broker: Evidence) -> None:
    assert missed(without_a_broker) == []
    assert "1 pages, 2 records" in [row.found for row in rows(without_a_broker)]


@pytest.mark.parametrize(
    "still",
    [
        {"samples": [Sample(0.0, 1, 1, 1), Sample(21.0, 3, 4, 1), Sample(39.0, 3, 4, 1), Sample(41.0, 4, 4, 1)]},
        {"received": [0.1, 19.5, 41.0, 41.5]},
    ],
)
def test_work_that_stands_still_until_the_broker_is_back_is_red(
    without_a_broker: Evidence, still: dict[str, Any]
) -> None:
    assert "work without a broker" in missed(replace(without_a_broker, **still))


def test_what_waits_long_after_others_took_the_broker_s_place_is_a_stall(without_a_broker: Evidence) -> None:
    assert missed(replace(without_a_broker, received=[0.1, 30.0, 39.5, 42.0])) == ["reader stall"]


def test_nothing_is_asked_of_a_time_in_which_two_servers_were_away(without_a_broker: Evidence) -> None:
    second = Case("kafka-kill", began=10.0, ended=41.0, reached=True, outage=True, recovered=1.0)
    told = replace(without_a_broker, cases=[kill(), away(), second], received=[0.1, 41.0, 41.1, 41.2])
    assert missed(told) == []
    assert "not judged: another server was away as well" in [row.found for row in rows(told)]


def test_a_door_that_lets_everybody_in_is_green(good: Evidence) -> None:
    told = replace(good, door=Door([Knock(1.0, 202, ""), Knock(1.5, 503, ""), Knock(2.0, 202, "")], (0.0, 3.0)))
    assert missed(told) == []
    assert "3, 2 accepted" in [row.found for row in rows(told)]


@pytest.mark.parametrize(
    ("door", "row"),
    [
        (Door([Knock(1.0, 503, "")], (0.0, 3.0)), "POSTs through the proxy"),
        (Door([], (0.0, 3.0)), "POSTs through the proxy"),
        (Door([Knock(1.0, 202, "")], (0.0, 3.0), "it broke off"), "POSTs through the proxy"),
        (Door([Knock(1.0, 202, "")], (0.0, 11.5)), "longest without a 202"),
        (Door([Knock(11.0, 202, "")], (0.0, 12.0)), "longest without a 202"),
        (Door([Knock(1.0, 202, ""), Knock(2.0, 502, "")], (0.0, 3.0)), "POSTs refused"),
    ],
)
def test_each_way_for_the_door_to_fail_is_told(good: Evidence, door: Door, row: str) -> None:
    told = replace(good, door=door)
    assert missed(told) == [row]
    assert bool(details(told)) == (bool(door.failed) or row == "POSTs refused")


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
