"""What librdkafka says about its connections, as lines of ours, and few of them while a broker is away.

Its clients try to reconnect several times a second and tell of every attempt, each client and each of its threads.
"""

import logging
import re
from collections import OrderedDict
from threading import Lock
from typing import Any

import structlog

from app.clock import Clock, SystemClock
from app.telemetry.events import Event

log = structlog.get_logger(__name__)

REPEAT_SECONDS = 60.0
"""The same is said again after so long, with the number of times it was left out."""

MOST_REMEMBERED = 200
"""Different lines; the oldest is forgotten first."""

_VARYING = re.compile(r"\d+")
"""What differs between two lines of the same meaning: durations, ports, numbers of clients and brokers."""


class Repeats:
    """Tells which lines are new. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def left_out(self, line: str) -> int | None:
        """How often the same line was left out since it was said last; None: leave it out this time too."""
        same = _VARYING.sub("#", line)
        now = self._clock.monotonic()
        with self._lock:
            said, count = self._said.pop(same, (None, 0))
            if said is not None and now - said < REPEAT_SECONDS:
                self._said[same] = said, count + 1
                return None
            self._said[same] = now, 0
            if len(self._said) > MOST_REMEMBERED:
                self._said.popitem(last=False)
            return count


class SparseLog:
    """Warnings of ours that a broker's absence repeats every second, kept as rare as librdkafka's."""

    def __init__(self, clock: Clock) -> None:
        self._repeats = Repeats(clock)

    def new(self, event: Event, topic: str, cause: str) -> dict[str, Any] | None:
        """The fields of a line that is to be written; None when it was said not long ago."""
        left_out = self._repeats.left_out(f"{event} {topic} {cause}")
        return None if left_out is None else {"topic": topic, "cause": cause, **_count(left_out)}


class ClientLog(logging.Handler):
    """Takes librdkafka's lines: (facility, client, message)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self._repeats = Repeats(clock)

    def emit(self, record: logging.LogRecord) -> None:
        facility, _client, message = _parts(record)
        left_out = self._repeats.left_out(f"{facility} {message}")
        if left_out is not None:
            fields = {"facility": facility, "message": message, **_count(left_out)}
            if record.levelno >= logging.WARNING:
                log.warning(Event.KAFKA_CLIENT, **fields)
            else:
                log.info(Event.KAFKA_CLIENT, **fields)


def client_log() -> logging.Logger:
    """The logger of every client in this process."""
    logger = logging.getLogger("librdkafka")
    if not any(isinstance(handler, ClientLog) for handler in logger.handlers):
        logger.addHandler(ClientLog(SystemClock()))
        logger.propagate = False
    return logger


def _parts(record: logging.LogRecord) -> tuple[str, str, str]:
    match record.args:
        case (str(facility), str(client), str(message)):
            return facility, client, message
        case _:
            return "", "", record.getMessage()


def _count(left_out: int) -> dict[str, int]:
    return {"left_out": left_out} if left_out else {}
