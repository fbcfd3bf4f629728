"""How long the way in was closed, and what counts as a refusal."""

import threading
from collections.abc import Iterator
from random import Random

import pytest

from chaos import door
from chaos.arena import Case
from chaos.door import Door, Knock, Knocking, longest_closed, refusals
from chaos.verdict import closed, outages

ACCEPTED = b'{"job_id": "j-1"}'


def knocks(*told: tuple[float, int]) -> list[Knock]:
    return [Knock(time, status, "") for time, status in told]


def watched(began: float, ended: float, *told: tuple[float, int]) -> Door:
    return Door(knocks(*told), (began, ended))


def test_the_longest_time_between_two_accepted_posts_counts() -> None:
    assert longest_closed(watched(0, 7, (0, 202), (1, 202), (2, 503), (5.5, 202), (6.5, 202)), []) == 4.5


def test_a_door_that_never_opens_or_closes_for_good_was_closed_until_the_end() -> None:
    assert longest_closed(watched(0, 90, (1, 503), (89, 503)), []) == 90
    assert longest_closed(watched(0, 90, (1, 202), (2, 202), (3, 503)), []) == 88
    assert longest_closed(watched(0, 90, (60, 202), (89, 202)), []) == 60


def test_a_time_without_the_database_does_not_count_and_what_follows_does() -> None:
    told = watched(0, 22, (0, 202), (1, 202), (20, 202), (22, 202))
    assert longest_closed(told, [(2.0, 15.0), (3.0, 16.0)]) == 5
    assert longest_closed(watched(0, 60, (1, 202)), [(2.0, 15.0)]) == 46


class Answers:
    """What the proxy answers, one POST after the other; then it says nothing until the test is over."""

    def __init__(self) -> None:
        self.left: list[tuple[int, bytes]] = []
        self.silent = threading.Event()
        self.over = threading.Event()

    def post(self, *_: object) -> tuple[int, bytes]:
        if self.left:
            return self.left.pop(0)
        self.silent.set()
        self.over.wait()
        return 202, ACCEPTED


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    answers = Answers()
    monkeypatch.setattr(door, "post", answers.post)
    monkeypatch.setattr(door, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(door, "AGAIN_SECONDS", 0.0)
    yield answers
    answers.over.set()


def knocking() -> Knocking:
    started = Knocking(0, Random(1), {})
    started.start()
    return started


def test_a_post_is_repeated_until_it_is_accepted(answers: Answers) -> None:
    answers.left = [(503, b""), (0, b""), (202, ACCEPTED), (502, b"")]
    started = knocking()
    assert answers.silent.wait(10)
    assert [knock.status for knock in started.knocks] == [503, 0, 202, 502]
    assert [order.job_id for order in started.accepted] == ["j-1"]
    answers.over.set()
    assert started.end().failed == ""


def test_a_post_that_nobody_answers_is_told_at_the_end(answers: Answers) -> None:
    answers.left = [(202, ACCEPTED)]
    started = knocking()
    assert answers.silent.wait(10)
    found = started.end(0.2)
    assert found.failed == "the last POST was not accepted within 0 s"
    assert longest_closed(found, []) >= 0.2


def test_knocking_that_broke_off_is_told(answers: Answers) -> None:
    answers.left = [(202, b"{}")]
    started = knocking()
    started.join(10)
    assert started.end().failed == "it broke off: KeyError('job_id')"


def test_only_the_documented_answers_are_no_refusal() -> None:
    assert [knock.status for knock in refusals(knocks((0, 202), (1, 429), (2, 503), (3, 502), (4, 0)))] == [502, 0]


def test_a_broker_that_was_replaced_excuses_nothing_afterwards() -> None:
    away = Case("broker-away", began=100.0, ended=160.0, outage=True, replaced=120.0, recovered=2.0)
    whole = Case("kafka-kill", began=200.0, ended=210.0, outage=True, recovered=2.0)
    assert outages([away, whole]) == [(100.0, 120.0), (200.0, 212.0)]
    assert closed([away, whole]) == []
