"""Which disturbances come when."""

from itertools import islice
from random import Random

import pytest

from chaos.rounds import KNOWN, by_script, by_seed


def test_a_seed_gives_the_same_rounds_again_and_another_seed_others() -> None:
    def first(seed: int) -> list[tuple[str, ...]]:
        return list(islice(by_seed(Random(seed), list(KNOWN)), 40))

    assert first(1) == first(1) != first(2)


def test_each_disturbance_comes_before_any_comes_again() -> None:
    names = list(KNOWN)
    rounds = islice(by_seed(Random(3), names), len(names))
    assert {names[-1] for names in rounds} == set(KNOWN)


def test_a_line_of_a_script_is_what_happens_at_the_same_time() -> None:
    assert by_script("kill # first\n\nzombie kafka-kill\n") == [("kill",), ("zombie", "kafka-kill")]


@pytest.mark.parametrize(("text", "why"), [("kill flood\n", "no such disturbance: flood"), ("# kill\n", "no round")])
def test_a_script_that_makes_no_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        by_script(text)
