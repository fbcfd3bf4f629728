"""Traces: everything that belongs to one submission, from its POST to the last message about it. Off by default.

Rooms know this port alone; who turns tracing on puts a `Tracer` in (`app.telemetry.otlp`). One trace a job: whether it
is recorded is decided when the job is taken in, and every span after that belongs to a context that was handed on
(`traceparent`, as W3C Trace Context writes it). Work without such a context is not traced.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from enum import Enum
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Protocol, Self

Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]

# W3C Trace Context, 3.2: a later version may say more at the end; ids of zeros are none.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
)
_SAMPLED = 1
LONGEST_TRACEPARENT = 128
"""Characters; version 00 has 55."""


class Kind(Enum):
    """What a span is to the process at its other end, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class TraceContext(NamedTuple):
    """A span as others name it: 32 and 16 hexadecimal digits, whether the trace is recorded, and whether this was read
    from what was handed on (`remote`) or is a span of this process."""

    trace_id: str
    span_id: str
    sampled: bool
    remote: bool = False

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


@lru_cache(maxsize=1_000)
def parse_traceparent(text: str | None) -> TraceContext | None:
    """The context that a header, a message or the store names; None for anything else: a trace begins anew then."""
    if not text or len(text) > LONGEST_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(text)
    if found is None or (found[1] == "00" and found[5]):
        return None
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED), remote=True)


class Span:
    """A span that is not recorded: what is told of it is forgotten. Used as a context manager, once.

    `__exit__` without `__enter__` ends one that nothing runs in, as those of several jobs in one batch.
    """

    __slots__ = ()
    recording = False

    @property
    def context(self) -> TraceContext | None:
        return None

    def tell(self, attributes: Attributes) -> None:
        """Attributes by the names of `app.telemetry.conventions`."""

    def rename(self, name: str) -> None:
        """When only the end shows what it was."""

    def failed(self, error_type: str) -> None:
        """It did not do what it was for: `error_type` is one of few words, never a stranger's text."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error that leaves the block is told by the name of its class alone: its text may be anybody's."""


NOTHING = Span()


class Tracer(Protocol):
    """Makes spans that are recorded."""

    def start(self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> Span:
        """A span that began now; without a parent, a trace of its own."""
        ...

    def serve(self, name: str, caller: TraceContext | None, attributes: Attributes) -> Span:
        """The same for a request that came in. What a caller's context counts for is the tracer's to say."""
        ...


class _Installed:
    tracer: Tracer | None = None


NO_ATTRIBUTES: Attributes = {}

_current: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)


def install(tracer: Tracer | None) -> None:
    """Turn tracing on for the process; None turns it off."""
    _Installed.tracer = tracer


def is_on() -> bool:
    return _Installed.tracer is not None


def current() -> TraceContext | None:
    """The span in which this code runs."""
    return _current.get()


def current_traceparent() -> str | None:
    """The same, as it is handed on."""
    context = _current.get()
    return None if context is None else context.traceparent


def enter(context: TraceContext) -> Token[TraceContext | None]:
    """For tracers: what runs from here on is in this span, until `leave`."""
    return _current.set(context)


def leave(token: Token[TraceContext | None]) -> None:
    _current.reset(token)


def server_span(name: str, incoming: str | None, attributes: Attributes) -> Span:
    """A request that came in: it goes on with the caller's trace, where callers have a say, or begins one."""
    tracer = _Installed.tracer
    if tracer is None:
        return NOTHING
    return tracer.serve(name, parse_traceparent(incoming), attributes)


def child(name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes = NO_ATTRIBUTES) -> Span:
    """A part of what runs here. Nothing where nothing is recorded."""
    tracer, parent = _Installed.tracer, _current.get()
    if tracer is None or parent is None or not parent.sampled:
        return NOTHING
    return tracer.start(name, kind, parent, attributes)


def child_of(traceparent: str | None, name: str, kind: Kind, attributes: Attributes = NO_ATTRIBUTES) -> Span:
    """A part of what another process began, or this one a while ago."""
    tracer = _Installed.tracer
    if tracer is None or not traceparent:
        return NOTHING
    parent = parse_traceparent(traceparent)
    if parent is None:
        return NOTHING
    return tracer.start(name, kind, parent, attributes) if parent.sampled else _Passing(parent)


def nearer(known: str | None, told: str | None) -> str | None:
    """Of the job's context as the store has it, and one that a message tells: the message's, when it is of the same
    trace. A message is anybody's who may write to the topic: it cannot lead a job into another trace."""
    ours, theirs = parse_traceparent(known), parse_traceparent(told)
    if ours is None or theirs is None:
        return known
    return told if (ours.trace_id, ours.sampled) == (theirs.trace_id, theirs.sampled) else known


class _Passing(Span):
    """Not recorded, and yet log lines and what is handed on name the trace."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: TraceContext) -> None:
        self._context = context
        self._token: Token[TraceContext | None] | None = None

    @property
    def context(self) -> TraceContext:
        return self._context

    def __enter__(self) -> Self:
        self._token = _current.set(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
