"""Log lines: structlog for ours, and every library's through the same processors. One line per event."""

import logging
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.telemetry.redaction import Harmless, clean_field, clean_name, clean_text, escape, redact
from app.telemetry.tracing import current

_QUIET = {"alembic": logging.WARNING, "sqlalchemy": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries that say at INFO what only their authors want to know."""

_FIRST = ("timestamp", "level", "event")

_MADE_HERE = frozenset({"timestamp", "level", "logger"})
"""Fields that the processors before have set, whatever was passed under their names."""

LONGEST_TRACEBACK = 20_000
"""Characters; of a longer one the end is kept, where the error stands."""


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to `stream`; without one to whatever sys.stderr is at the time."""

    def __init__(self, stream: TextIO | None) -> None:
        self._fixed = stream
        super().__init__(stream)

    @property
    def stream(self) -> TextIO:
        return self._fixed or sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        self._fixed = self._fixed and value


def configure_logging(
    *, level: str = "INFO", json: bool = True, service: str = "", version: str = "", stream: TextIO | None = None
) -> None:
    """Send every log line of the process to `stream` (stderr): JSON, or readable for a terminal. May be called again.

    Libraries log from INFO up whatever `level` says: at DEBUG some write headers and bodies, tokens and all.
    """
    constant = {"service": clean_text(service), "version": clean_text(version)} if json else {}
    shared = _shared_processors({name: Harmless(text) for name, text in constant.items()})
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    handler.setFormatter(_formatter(shared, json=json, colors=handler.stream.isatty()))
    _take_over(handler, logging.getLevelNamesMapping()[level])


@contextmanager
def job_context(job_id: str, **fields: Any) -> Iterator[None]:
    """Every line logged inside carries the job's id (and the other fields)."""
    with structlog.contextvars.bound_contextvars(job_id=job_id, **fields):
        yield


def _shared_processors(constant: Mapping[str, str]) -> list[Processor]:
    def add_constant(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **constant}

    return [
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        add_constant,
        redact_event,
    ]


def add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that names the span in which a line was written, by the fields that OpenTelemetry gives them."""
    context = current()
    if context is not None:
        event["trace_id"], event["span_id"] = Harmless(context.trace_id), Harmless(context.span_id)
    return event


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that takes secrets and control characters out of a line. A traceback keeps its line ends."""
    cleaned: EventDict = {name: "" for name in _FIRST if name in event}
    for name, value in event.items():
        if name.startswith("_"):  # structlog's own, dropped before rendering
            cleaned[name] = value
        elif name in ("exception", "stack"):
            cleaned[name] = escape(redact(str(value)[-LONGEST_TRACEBACK:]), keep_newlines=True)
        else:
            cleaned[clean_name(name)] = value if name in _MADE_HERE else clean_field(name, value)
    return cleaned


def _formatter(shared: list[Processor], *, json: bool, colors: bool) -> logging.Formatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if json
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    readable: list[Processor] = [] if json else [indent_traceback]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *readable, renderer],
    )


def indent_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The text of an error may be a stranger's: no line of it begins where the lines of events begin."""
    for name in ("exception", "stack"):
        if name in event:
            event[name] = textwrap.indent(event[name], "    ", lambda _: True)
    return event


def _take_over(handler: logging.Handler, level: int) -> None:
    """One handler for all. uvicorn brings handlers of its own when it is started from its own command line."""
    root = logging.getLogger()
    root.handlers[:] = [other for other in root.handlers if type(other) not in (_Handler, logging.StreamHandler)]
    root.addHandler(handler)
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("app").setLevel(level)
    logging.captureWarnings(True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # ours has a line for each request, without its query
