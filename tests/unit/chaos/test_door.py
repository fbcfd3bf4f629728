"""How long the way in was closed, and what counts as a refusal."""

from chaos.arena import Case
from chaos.door import Knock, longest_closed, refusals
from chaos.verdict import closed, outages


def knocks(*told: tuple[float, int]) -> list[Knock]:
    return [Knock(time, status, "") for time, status in told]


def test_the_longest_time_between_two_accepted_posts_counts() -> None:
    assert longest_closed(knocks((0, 202), (1, 202), (2, 503), (5.5, 202), (6.5, 202)), []) == 4.5


def test_a_time_without_the_database_does_not_count() -> None:
    told = knocks((0, 202), (1, 202), (20, 202), (22, 202))
    assert longest_closed(told, [(2.0, 15.0)]) == 2


def test_only_the_documented_answers_are_no_refusal() -> None:
    assert [knock.status for knock in refusals(knocks((0, 202), (1, 429), (2, 503), (3, 502), (4, 0)))] == [502, 0]


def test_a_broker_that_was_replaced_excuses_nothing_afterwards() -> None:
    away = Case("broker-away", began=100.0, ended=160.0, outage=True, replaced=120.0, recovered=2.0)
    whole = Case("kafka-kill", began=200.0, ended=210.0, outage=True, recovered=2.0)
    assert outages([away, whole]) == [(100.0, 120.0), (200.0, 212.0)]
    assert closed([away, whole]) == []
