"""An outage of minutes writes a handful of lines."""

import logging
from collections.abc import MutableMapping
from typing import Any

from structlog.testing import capture_logs

from app.broker.client_log import MOST_REMEMBERED, REPEAT_SECONDS, ClientLog, Repeats, SparseLog, client_log
from app.telemetry.events import Event
from tests.support.clock import ManualClock

REFUSED = "[thrd:127.0.0.1:{port}/bootstrap]: Connect to ipv4#127.0.0.1:{port} failed: refused (after {ms}ms)"


def _says(handler: ClientLog, message: str, level: int = logging.ERROR) -> None:
    """As librdkafka does."""
    arguments = ("FAIL", "rdkafka#producer-1", message)
    handler.handle(logging.LogRecord("librdkafka", level, __file__, 1, "%s [%s] %s", arguments, None))


def _lines(written: list[MutableMapping[str, Any]]) -> list[tuple[str, int]]:
    return [(line["log_level"], line.get("left_out", 0)) for line in written if line["event"] == Event.KAFKA_CLIENT]


async def test_the_same_line_is_written_once_a_minute_with_how_often_it_was_left_out() -> None:
    clock = ManualClock()
    handler = ClientLog(clock)
    with capture_logs() as written:
        for second in range(int(REPEAT_SECONDS) + 1):
            _says(handler, REFUSED.format(port=9092, ms=second))
            await clock.advance(1)
    assert _lines(written) == [("warning", 0), ("warning", REPEAT_SECONDS - 1)]


def test_another_line_is_written_at_once() -> None:
    handler = ClientLog(ManualClock())
    with capture_logs() as written:
        _says(handler, "refused")
        _says(handler, "unknown host")
    assert len(_lines(written)) == 2


def test_what_is_no_trouble_is_no_warning() -> None:
    with capture_logs() as written:
        _says(ClientLog(ManualClock()), "idle connection closed", logging.INFO)
    assert _lines(written) == [("info", 0)]


def test_lines_that_never_repeat_are_forgotten() -> None:
    repeats = Repeats(ManualClock())
    assert repeats.left_out("first") == 0
    for number in range(MOST_REMEMBERED):
        assert repeats.left_out("x" * number + "y") == 0
    assert repeats.left_out("first") == 0


async def test_our_own_warnings_of_an_outage_are_as_rare() -> None:
    clock = ManualClock()
    sparse = SparseLog(clock)
    assert sparse.new(Event.KAFKA_COMMIT_REFUSED, "fetch-reviews", "timed out") == {
        "topic": "fetch-reviews",
        "cause": "timed out",
    }
    assert sparse.new(Event.KAFKA_COMMIT_REFUSED, "fetch-reviews", "timed out") is None
    assert sparse.new(Event.KAFKA_COMMIT_REFUSED, "fetch-accounts", "timed out") is not None
    await clock.advance(REPEAT_SECONDS)
    line = sparse.new(Event.KAFKA_COMMIT_REFUSED, "fetch-reviews", "timed out")
    assert line is not None
    assert line["left_out"] == 1


def test_all_clients_share_one_log_that_goes_nowhere_else() -> None:
    assert client_log() is client_log()
    assert [type(handler) for handler in client_log().handlers if isinstance(handler, ClientLog)] == [ClientLog]
    assert not client_log().propagate
