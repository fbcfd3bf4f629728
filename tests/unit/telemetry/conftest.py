"""A collector for each test that asks for one, and a tracer that sends to it."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from app.telemetry import tracing
from tests.support.collector import Collector, collector
from tests.support.traced import Traced


@pytest.fixture
def receiving() -> Iterator[Collector]:
    levels = {name: logging.getLogger(name).level for name in ("opentelemetry.sdk", "urllib3")}
    with collector() as running:
        yield running
    tracing.install(None)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
async def traced(receiving: Collector) -> AsyncIterator[Traced]:
    made = Traced(receiving)
    yield made
    await made.tracer.close()
