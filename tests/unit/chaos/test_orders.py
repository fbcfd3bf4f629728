"""The customer of a run: what it POSTs again, what it remembers, and the worlds it asks for."""

import json
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from app.simulator import Catalogue
from app.simulator.tokens import Tokens
from chaos import orders
from chaos.fleet import Fleet
from chaos.orders import Orders, token_of
from chaos.store import Timeline

ACCEPTED = json.dumps({"job_id": "j-1"}).encode()


@pytest.fixture
def customer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    monkeypatch.setattr(orders, "PAUSE_SECONDS", 0.0)
    return Orders(cast(Fleet, None), cast(Timeline, None), Random(1), tmp_path / "accepted.tsv", open_jobs=1)


def answering(customer: Orders, *answers: tuple[int, bytes]) -> list[tuple[str, str]]:
    """Have the service answer so, POST after POST; returns the (token, key) that it will be sent."""
    sent: list[tuple[str, str]] = []
    left = iter(answers)

    def post(token: str, key: str) -> tuple[int, bytes]:
        sent.append((token, key))
        return next(left)

    cast(Any, customer)._post = post
    return sent


def test_a_post_without_an_answer_is_repeated_under_its_key(customer: Orders) -> None:
    sent = answering(customer, (0, b""), (503, b""), (429, b""), (202, ACCEPTED))
    order = customer._ordered("t")
    assert order is not None
    assert order.job_id == "j-1"
    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert customer.repeated == 3


def test_two_jobs_have_two_keys(customer: Orders) -> None:
    sent = answering(customer, (202, ACCEPTED), (202, ACCEPTED))
    customer._ordered("a")
    customer._ordered("b")
    assert sent[0][1] != sent[1][1]


def test_a_refusal_is_remembered_and_not_repeated(customer: Orders) -> None:
    answering(customer, (422, b"no"))
    assert customer._ordered("t") is None
    assert customer.refused == ["422: no"]


def test_every_token_opens_a_world_of_its_own_and_there_are_large_and_small_ones() -> None:
    random = Random(7)
    tokens = [token_of(random, number) for number in range(1, 60)]
    sizes = [Tokens(Catalogue()).catalogue_of(token).total_reviews() for token in tokens]
    assert len(set(tokens)) == len(tokens)
    assert min(sizes) <= 50
    assert 2_000 < max(sizes) < 20_000


def test_a_customer_who_broke_off_is_told(customer: Orders) -> None:
    cast(Any, customer)._timeline = None
    customer.start()
    customer.join(10)
    customer.end(10)
    (refused,) = customer.refused
    assert "broke the customer off: AttributeError" in refused
