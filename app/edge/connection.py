"""uvicorn's connection with ends to its patience: it waits for ever for heads, bodies and readers, and counts nothing.

One clock looks at all connections once a second. A timer for each would cost every request what only a few need.
"""

import asyncio
import secrets
from collections import deque
from contextvars import Context
from enum import Enum, auto
from typing import Any, cast

import httptools
import structlog
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.headers import with_careful_headers
from app.api.leaving import note_left
from app.edge.bounds import (
    LARGEST_BODY,
    LARGEST_HEAD,
    LONGEST_TARGET,
    MOST_PIPELINED,
    SPARE_CONNECTIONS,
    Bounds,
)
from app.edge.clock import ConnectionClock, Watched
from app.edge.faults import (
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    HEAD_TOO_LARGE,
    HEAD_TOO_SLOW,
    MALFORMED,
    TARGET_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_PIPELINED,
    Fault,
    fault_of,
)
from app.edge.sending import PoliteTransport, Untaken
from app.telemetry.events import Event

log = structlog.get_logger(__name__)


class _Refused(Exception):  # noqa: N818 - no error of ours: it stops the parser, which tells it as its own
    """The parser is to read no further."""


class Reading(Enum):
    """What of a request comes next."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class BoundedConnection(HttpToolsProtocol):
    """Reads requests as uvicorn does. `look` is called by the clock, with the time of the loop."""

    def __init__(self, *, bounds: Bounds, clock: ConnectionClock, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._bounds = bounds
        self._clock = clock
        self._reading = Reading.NOTHING
        self._since = self.loop.time()
        self._bytes = 0
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._fault: Fault | None = None
        self._farewell: Fault | None = None
        self._deaf = False
        self._untaken = Untaken()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._clock.watch(self.loop, cast("set[Watched]", self.connections))
        beyond = len(self.connections) - self._bounds.connections
        if beyond > 0:
            self._clock.count("crowd")
            self._hear_no_more()
            if beyond > SPARE_CONNECTIONS:
                transport.abort()
            else:
                self._say(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the newest request; the one that is answered would write on, to nobody."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            if not cycle.response_started:
                note_left(cast("Scope", cycle.scope))
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._hear_no_more()
            self.cycle.keep_alive = False  # what follows is of a protocol that is not spoken here
        except httptools.HttpParserError:
            self._refuse(self._fault or MALFORMED)
        else:
            self._count(len(data))

    def _count(self, size: int) -> None:
        """The parser keeps an unfinished header to itself, before a body or behind it, however long it becomes."""
        self._bytes += size
        if self._reading is Reading.HEAD and self._bytes > LARGEST_HEAD:
            self._refuse(HEAD_TOO_LARGE)
        elif self._reading is Reading.BODY and self._bytes > LARGEST_BODY:
            self._refuse(BODY_TOO_LARGE)

    def _should_upgrade_to_ws(self) -> bool:
        """No route speaks it, whichever libraries are installed."""
        return False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading = Reading.HEAD
        self._bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > LONGEST_TARGET:
            self._stop_at(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Not a field behind a chunked body: it could claim to be what a proxy has taken out of the head."""
        if self._reading is Reading.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        fault = fault_of(self.parser.get_http_version(), self.url, self.headers)
        if fault is None and len(self._unanswered) >= MOST_PIPELINED:
            fault = TOO_MANY_PIPELINED
        if fault is not None:
            self._stop_at(fault)
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", PoliteTransport(self))
        self._unanswered.append(self.cycle)
        self._reading = Reading.BODY
        self._bytes = 0
        self._since = self.loop.time()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading = Reading.NOTHING

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        super().on_response_complete()
        if self._reading is not Reading.NOTHING:
            self._unset_keepalive_if_required()  # it is set as if the next request had not begun
        if not self._unanswered:
            self._since = self.loop.time()
            if self._farewell is not None:
                Context().run(self._say, self._farewell)  # this runs in the context of the request before

    def resume_writing(self) -> None:
        super().resume_writing()
        self._untaken.forget()

    def _stop_at(self, fault: Fault) -> None:
        self._fault = fault
        raise _Refused

    def _hear_no_more(self) -> None:
        self._deaf = True
        self._unset_keepalive_if_required()

    def _refuse(self, fault: Fault) -> None:
        """Answer in the place of the application, after all answers to what came before, and end the connection."""
        self._hear_no_more()
        if self._reading is Reading.BODY and not self._give_up_body():
            return
        if self._unanswered:
            self._farewell = fault
        else:
            self._say(fault)

    def _give_up_body(self) -> bool:
        """Take the request back whose body cannot be read; False if it has its answer, or a part of it, already."""
        cycle = self.cycle
        if cycle.response_started:
            cycle.keep_alive = False
            if cycle.response_complete:
                self.transport.close()
            return False
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        cycle.disconnected = True
        cycle.message_event.set()
        self._unanswered.pop()
        return True

    def _say(self, fault: Fault) -> None:
        self._farewell = None
        request_id = secrets.token_hex(8)
        client = self.client[0] if self.client else None
        if fault is not TOO_MANY_CONNECTIONS:
            log.info(Event.REQUEST_REFUSED, status=fault.status, kind=fault.kind, client=client, request_id=request_id)
        answer = fault.problem()
        headers = with_careful_headers(answer.raw_headers, request_id.encode(), self.scheme or "http")
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[fault.status], *lines, b"\r\n", bytes(answer.body)]))
        self._reading = Reading.HEAD  # there may be more of it
        self.close_politely()

    def close_politely(self) -> None:
        """See `PoliteTransport`."""
        cut = bool(self._unanswered) and not self._unanswered[0].response_complete
        if cut or self._reading is Reading.NOTHING or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self._hear_no_more()
            self._since = self.loop.time()
            self.transport.write_eof()

    def look(self, now: float) -> None:
        """End what took too long."""
        if self._takes_nothing(now):
            self._clock.count("never_read")
            self.transport.abort()
        elif self._deaf:
            if not self._unanswered and now - self._since > self._bounds.linger_seconds:
                self.transport.close()
        elif not self.transport.is_closing():
            self._look_at_reading(now - self._since)

    def _look_at_reading(self, waited: float) -> None:
        """While an earlier answer is under way nothing of the next is missed, and reading may be paused by us."""
        if self._reading is Reading.BODY:
            if len(self._unanswered) <= 1 and waited > self._bounds.body_seconds:
                self._refuse(BODY_TOO_SLOW)
        elif not self._unanswered and waited > self._bounds.head_patience(len(self.connections)):
            if self._reading is Reading.HEAD:
                self._refuse(HEAD_TOO_SLOW)
            else:
                self._clock.count("silent")
                self.transport.close()

    def _takes_nothing(self, now: float) -> bool:
        """Whether the client leaves what is sent to it. While more may be added, that cannot be told from here."""
        left = self.transport.get_write_buffer_size()
        if not left or (self._unanswered and not self.flow.write_paused and not self.transport.is_closing()):
            self._untaken.forget()
            return False
        return self._untaken.seconds(left, now) > self._bounds.stalled_seconds
