"""Tracing, where the settings ask for it. Elsewhere OpenTelemetry's SDK is not even imported."""

import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import structlog

from app.config import Settings
from app.config.tracing import parse_pairs
from app.telemetry import tracing
from app.telemetry.events import Event
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from app.telemetry.otlp import OtlpTracer

MILLISECOND = 0.001

log = structlog.get_logger(__name__)


async def open_tracing(settings: Settings, metrics: Metrics, undo: AsyncExitStack) -> "OtlpTracer | None":
    """From here on spans are recorded; None: tracing is off."""
    if not settings.tracing.on:
        return None
    tracer = _tracer_of(settings, metrics)
    undo.push_async_callback(close_tracing, tracer)
    tracing.install(tracer)
    config = settings.tracing
    log.info(Event.TRACING_STARTED, endpoint=config.traces_endpoint, sampler=config.traces_sampler)
    return tracer


async def close_tracing(tracer: "OtlpTracer | None") -> None:
    """What waits is sent, within a deadline; nothing more is recorded. Idempotent."""
    if tracer is not None:
        tracing.install(None)
        await tracer.close()


def _tracer_of(settings: Settings, metrics: Metrics) -> "OtlpTracer":
    from app.telemetry.exporting import Destination  # noqa: PLC0415 - the SDK is slow to import
    from app.telemetry.otlp import OtlpTracer  # noqa: PLC0415

    config = settings.tracing
    destination = Destination(
        endpoint=config.traces_endpoint,
        headers=parse_pairs(config.exporter_otlp_headers.get_secret_value()),
        timeout=config.exporter_otlp_timeout * MILLISECOND,
        gzip=config.exporter_otlp_compression == "gzip",
        certificate=config.exporter_otlp_certificate or None,
        queue=config.bsp_max_queue_size,
        batch=config.bsp_max_export_batch_size,
        delay=config.bsp_schedule_delay * MILLISECOND,
    )
    return OtlpTracer(
        destination,
        resource_of(settings),
        sampler=config.traces_sampler,
        ratio=config.ratio,
        dropped=metrics.spans_dropped,
    )


def resource_of(settings: Settings) -> dict[str, str]:
    """Who this process is, by OpenTelemetry's names; what is set for traces alone wins."""
    own = {
        "service.name": settings.service_name,
        "service.version": settings.version,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        "deployment.environment.name": settings.environment,
    }
    named = {"service.name": settings.tracing.service_name} if settings.tracing.service_name else {}
    return own | parse_pairs(settings.tracing.resource_attributes) | named
