"""A tracer that sends to a collector of a test."""

from app.telemetry import tracing
from app.telemetry.exporting import Destination
from app.telemetry.otlp import OtlpTracer
from app.telemetry.tracing import TraceContext
from tests.support.collector import Collector

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)
LONG = 3600.0
"""Seconds: nothing is sent before the end."""


class Traced:
    """A tracer, and what it dropped. Three spans find room."""

    def __init__(self, to: Collector, sampler: str = "parentbased_always_on", ratio: float = 1.0) -> None:
        self.dropped: list[int] = []
        destination = Destination(to.url + "/v1/traces", {}, 5.0, False, None, queue=3, batch=3, delay=LONG)
        self.tracer = OtlpTracer(
            destination, {"service.name": "test"}, sampler=sampler, ratio=ratio, dropped=self.dropped.append
        )
        tracing.install(self.tracer)
