"""Log lines: one a line, with the job, without secrets, whoever wrote them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.telemetry.events import Event
from app.telemetry.logging import configure_logging, job_context


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Logging belongs to the process: the next test wants it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("app", "alembic", "sqlalchemy", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = True
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(level: str = "INFO", *, as_json: bool = True) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level=level, json=as_json, service="reviews", version="1.2", stream=stream)
    return stream


def test_an_event_is_one_json_line_with_the_job_bound() -> None:
    stream = configured()
    with job_context("job-1", stage="reviews"):
        structlog.get_logger("app.test").info(Event.JOB_ENDED, status="completed")
    structlog.get_logger("app.test").info(Event.SERVICE_STOPPED)
    first, second = lines(stream)
    assert list(first)[:3] == ["timestamp", "level", "event"]
    assert first["event"] == "job.ended"
    assert (first["job_id"], first["stage"], first["status"]) == ("job-1", "reviews", "completed")
    assert (first["service"], first["version"], first["logger"]) == ("reviews", "1.2", "app.test")
    assert "job_id" not in second


def test_a_secret_never_reaches_a_line() -> None:
    stream = configured()
    structlog.get_logger("app.test").warning("x.happened", access_token="hidden", detail="Bearer hidden")
    try:
        raise ValueError("access_token=hidden")
    except ValueError:
        structlog.get_logger("app.test").exception("x.failed")
    logging.getLogger("aiohttp.client").error("sent %s", {"Authorization": "Bearer hidden"})
    assert len(lines(stream)) == 3
    assert "hidden" not in stream.getvalue()


def test_a_hostile_value_stays_on_its_line() -> None:
    stream = configured(as_json=False)
    structlog.get_logger("app.test").info("x.happened", name="a\n2026 [error] forged\x1b[2J")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


FORGERIES = [
    "a\n2026-01-01T00:00:00.000000Z [info     ] forged",
    "a\r\n{}",
    "a\u2028b\u2029c",
    "a\x85b\x0b\x0c",
    "nul\0and\x1b[31mred\x9b2J",
    "\u202etxt.exe\u2066",
    "half a pair \ud800",
    '"}\n{"event": "forged"}',
]


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "terminal"])
@pytest.mark.parametrize("forgery", FORGERIES, ids=range(len(FORGERIES)))
def test_no_value_name_or_error_forges_or_breaks_a_record(forgery: str, as_json: bool) -> None:
    """ASVS 5.0 V16.4 (log protection), CWE-117: as a path, a tenant's name, a field's name, the text of an error."""
    stream = configured(as_json=as_json)
    log = structlog.get_logger("app.test")
    log.info("x.happened", path=forgery, tenant=forgery, found=[{forgery: forgery}], **{forgery: 1})
    logging.getLogger("uvicorn.error").warning("%s", forgery)
    try:
        raise ValueError(forgery)
    except ValueError:
        log.exception("x.failed")
    text = stream.getvalue()
    text.encode()
    assert set(text) & set("\0\x1b\x9b\x85\x0b\x0c\r\u2028\u2029\u202e\u2066") == set()
    records = text.splitlines() if as_json else [line for line in text.splitlines() if line[:1].strip()]
    assert len(records) == 3
    if as_json:
        assert [json.loads(record)["level"] for record in records] == ["info", "warning", "error"]


def test_libraries_log_through_the_same_processors() -> None:
    stream = configured()
    logging.getLogger("uvicorn.error").warning("x\ny")
    (line,) = lines(stream)
    assert (line["logger"], line["level"], line["event"]) == ("uvicorn.error", "warning", "x\\ny")


def test_libraries_never_log_at_debug() -> None:
    stream = configured("DEBUG")
    logging.getLogger("aiohttp.client").debug("headers and all")
    structlog.get_logger("app.test").debug("x.happened")
    assert [line["logger"] for line in lines(stream)] == ["app.test"]


def test_handlers_that_uvicorn_brought_are_taken_off() -> None:
    logger = logging.getLogger("uvicorn")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    logger.propagate = False
    stream = configured()
    logger.warning("once")
    assert [line["event"] for line in lines(stream)] == ["once"]


def test_the_level_is_kept() -> None:
    stream = configured("WARNING")
    structlog.get_logger("app.test").info("x.happened")
    logging.getLogger("anything").info("x")
    assert stream.getvalue() == ""


def test_configuring_again_does_not_double_the_lines() -> None:
    configured()
    stream = configured()
    logging.getLogger("anything").warning("x")
    assert len(lines(stream)) == 1


def test_a_traceback_is_readable_on_a_terminal() -> None:
    stream = configured(as_json=False)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("app.test").exception("x.failed")
    assert "\n    ValueError: broken" in stream.getvalue()
