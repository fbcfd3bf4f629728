"""What is believed of the header by which a message names the span that it belongs to."""

from typing import Any, cast

import pytest
from confluent_kafka import Message

from app.broker.poison import Poison, _record, traceparent_of

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Sent:
    """A message as confluent-kafka shows it."""

    def __init__(self, headers: list[tuple[str, Any]] | None) -> None:
        self._headers = headers

    def headers(self) -> list[tuple[str, Any]] | None:
        return self._headers

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"no work"

    def topic(self) -> str:
        return "fetch-reviews"

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 7


def sent(headers: list[tuple[str, Any]] | None) -> Message:
    return cast(Message, Sent(headers))


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("traceparent", None)],
        [("traceparent", b"garbage")],
        [("traceparent", b"\xff" * 55)],
        [("tracestate", GOOD.encode())],
    ],
)
def test_anything_but_a_context_is_none(headers: list[tuple[str, Any]] | None) -> None:
    found = traceparent_of(sent(headers))
    assert found is None
    assert "traceparent" not in _record("dlq", Poison(sent(headers), "no work", lambda: None, found)).headers


def test_what_is_no_work_keeps_its_context_on_the_way_to_the_dead_letters() -> None:
    message = sent([("type", b"x"), ("traceparent", GOOD.encode())])
    found = traceparent_of(message)
    assert found == GOOD
    assert _record("dlq", Poison(message, "no work", lambda: None, found)).headers["traceparent"] == GOOD
