"""Server-sent events are taken apart as the standard says."""

import pytest

from app.cli.event_source import LONGEST_EVENT_BYTES, EventSource, ServerEvent
from app.cli.exits import CommandError

STREAM = (
    b"retry: 2000\n\n"
    b'event: state\nid: 7\ndata: {"status": "pending"}\n\n'
    b": heartbeat\n\n"
    b"event: done\nid: 8\ndata: {}\n\n"
)
EVENTS = [ServerEvent("state", "7", {"status": "pending"}), ServerEvent("done", "8", {})]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_come_out_whole_however_the_bytes_are_cut(size: int) -> None:
    source = EventSource()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in source.feed(piece)] == EVENTS


@pytest.mark.parametrize("size", [1, 1000])
def test_lines_may_end_as_in_http(size: int) -> None:
    source, stream = EventSource(), STREAM.replace(b"\n", b"\r\n")
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [event for piece in pieces for event in source.feed(piece)] == EVENTS


def test_an_event_that_was_cut_off_is_none() -> None:
    assert EventSource().feed(STREAM[:-1]) == EVENTS[:1]


@pytest.mark.parametrize("stream", [b"data: <html>\n\n", b"data: [1]\n\n", b"data: \xff\n\n"])
def test_what_is_no_event_of_ours_is_told(stream: bytes) -> None:
    with pytest.raises(CommandError, match="no stream of events"):
        EventSource().feed(stream)


def test_an_event_without_end_is_not_gathered_for_ever() -> None:
    source = EventSource()
    source.feed(b"x" * LONGEST_EVENT_BYTES)
    with pytest.raises(CommandError, match="no stream of events"):
        source.feed(b"x")
