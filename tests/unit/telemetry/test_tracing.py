"""The port of tracing: what a context is, and what happens where nobody records."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry import tracing
from app.telemetry.tracing import Attributes, Kind, Span, TraceContext, nearer, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"


class Recorder:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.started: list[tuple[str, TraceContext | None]] = []

    def start(self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> Span:
        self.started.append((name, parent))
        return Span()

    def serve(self, name: str, caller: TraceContext | None, attributes: Attributes) -> Span:
        return self.start(name, Kind.SERVER, caller, attributes)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    tracing.install(recorder)
    yield recorder
    tracing.install(None)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        UNSAMPLED,
        f"00-{TRACE}-{SPAN}-ff",
        f"01-{TRACE}-{SPAN}-01-what-a-later-version-adds",
        f"cc-{TRACE}-{SPAN}-01",
    ],
)
def test_a_context_of_this_or_a_later_version_is_read(text: str) -> None:
    found = parse_traceparent(text)
    assert found is not None
    assert found == (TRACE, SPAN, not text.endswith("-00"), True)
    assert parse_traceparent(found.traceparent) == found


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f" {GOOD}",
        f"{GOOD}\n",
        f"01-{TRACE}-{SPAN}-01-{'x' * 200}",
    ],
)
def test_anything_else_is_none(text: str | None) -> None:
    assert parse_traceparent(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    found = parse_traceparent(text)
    assert found is None or found.traceparent.startswith("00-")


def test_while_it_is_off_nothing_is_made_and_nothing_is_current() -> None:
    assert not tracing.is_on()
    for span in (
        tracing.server_span("GET", GOOD, {}),
        tracing.child("settle"),
        tracing.child_of(GOOD, "process", Kind.CONSUMER),
    ):
        assert span is tracing.NOTHING
        with span:
            assert tracing.current_traceparent() is None


def test_work_without_a_context_is_not_traced(recorder: Recorder) -> None:
    assert tracing.child("settle") is tracing.NOTHING
    assert tracing.child_of(None, "process", Kind.CONSUMER) is tracing.NOTHING
    assert tracing.child_of("garbage", "process", Kind.CONSUMER) is tracing.NOTHING
    assert recorder.started == []


def test_a_trace_that_is_not_sampled_is_current_and_makes_no_spans(recorder: Recorder) -> None:
    with tracing.child_of(UNSAMPLED, "process", Kind.CONSUMER) as span:
        assert not span.recording
        assert tracing.current_traceparent() == UNSAMPLED
        assert tracing.child("settle") is tracing.NOTHING
    assert tracing.current() is None
    assert recorder.started == []


def test_a_request_goes_on_with_its_callers_trace_or_begins_one(recorder: Recorder) -> None:
    tracing.server_span("POST", GOOD, {})
    tracing.server_span("POST", None, {})
    tracing.server_span("POST", "garbage", {})
    assert recorder.started == [("POST", (TRACE, SPAN, True, True)), ("POST", None), ("POST", None)]


def test_a_message_cannot_lead_a_job_into_another_trace() -> None:
    of_the_job, sent = GOOD, f"00-{TRACE}-{'a' * 16}-01"
    assert nearer(of_the_job, sent) == sent
    assert nearer(of_the_job, f"00-{'b' * 32}-{SPAN}-01") == of_the_job
    assert nearer(UNSAMPLED, GOOD) == UNSAMPLED, "nor make it one that is recorded"
    assert nearer(of_the_job, None) == nearer(of_the_job, "garbage") == of_the_job
    assert nearer(None, sent) is None


def test_a_service_that_is_not_traced_does_not_import_the_sdk(tmp_path: Path) -> None:
    look = (
        "import asyncio, sys, app.main\n"
        "async def run():\n"
        "    async with app.main.app.router.lifespan_context(app.main.app): pass\n"
        "asyncio.run(run())\n"
        "print(sorted(name for name in ('opentelemetry.sdk', 'requests', 'google.protobuf') if name in sys.modules))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", look]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.strip().endswith("[]"), done.stdout
