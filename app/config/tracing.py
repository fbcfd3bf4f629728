"""Traces, by the names of OpenTelemetry's specification of environment variables."""

from typing import Annotated, Self
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from app.config.groups import Group
from app.config.values import BaseUrl, Secret

EXPORTERS = ("otlp", "none")
PROTOCOL = "http/protobuf"
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)

# The specification wants names of a fixed set read whatever their capitals.
Name = Annotated[str, BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)]


def parse_pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, both percent-encoded (W3C Baggage). ValueError, without the text, for anything else."""
    found = {}
    for pair in filter(str.strip, text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError("must be key=value, several separated by commas (a comma in a value as %2C)")
        found[unquote(name.strip())] = unquote(value.strip())
    return found


class TracingConfig(Group):
    """Where traces go, and how many. Off unless an endpoint or an exporter is set; then what is wrong is refused, and
    while it is off nothing is: these variables may be meant for other programs."""

    PREFIX = "OTEL_"

    exporter_otlp_endpoint: BaseUrl = Field(
        default="",
        description="Base URL of the collector that traces go to by OTLP over HTTP (`http://localhost:4318`); "
        "`/v1/traces` is added. Set it to turn tracing on",
    )
    exporter_otlp_traces_endpoint: BaseUrl = Field(default="", description="The whole URL instead, with its path")
    exporter_otlp_headers: Secret = Field(
        default=SecretStr(""), description="Headers for the collector, `key=value,key=value`: an API key, mostly"
    )
    exporter_otlp_protocol: Name = Field(default=PROTOCOL, description=f"`{PROTOCOL}` is the one that is spoken")
    exporter_otlp_timeout: int = Field(
        default=10_000, ge=1, le=600_000, description="For the collector to take a batch, with retries, milliseconds"
    )
    exporter_otlp_compression: Name = Field(default="none", description="`none` or `gzip`")
    exporter_otlp_certificate: str = Field(
        default="", description="File (PEM) of the authorities that signed the collector's certificate"
    )
    traces_exporter: Name = Field(
        default="", description="`otlp` or `none`. Unset: `otlp` when an endpoint is set, else `none`"
    )
    sdk_disabled: bool = Field(default=False, description="Turn tracing off, whatever else is set")
    traces_sampler: Name = Field(
        default="parentbased_always_on",
        description="Which jobs are traced: `parentbased_traceidratio` for a part of them; "
        + ", ".join(f"`{name}`" for name in SAMPLERS),
    )
    traces_sampler_arg: str = Field(default="", description="The part, 0 to 1, for a sampler by ratio. Unset: all")
    service_name: str = Field(default="", description="`service.name` of traces. Empty = SERVICE_NAME")
    resource_attributes: str = Field(
        default="", description="More about this process, `key=value,key=value`: `deployment.environment.name=…`"
    )
    bsp_max_queue_size: int = Field(
        default=2_048, ge=1, le=1_000_000, description="Spans that may wait for the collector; more are dropped"
    )
    bsp_max_export_batch_size: int = Field(default=512, ge=1, le=100_000, description="Spans in one request to it")
    bsp_schedule_delay: int = Field(
        default=5_000, ge=1, le=600_000, description="Longest wait of a span for others of its batch, milliseconds"
    )

    @property
    def on(self) -> bool:
        """Whether traces are asked for."""
        asked = self.traces_exporter or (self.traces_endpoint_is_set and "otlp") or "none"
        return asked != "none" and not self.sdk_disabled

    @property
    def traces_endpoint_is_set(self) -> bool:
        return bool(self.exporter_otlp_endpoint or self.exporter_otlp_traces_endpoint)

    @property
    def traces_endpoint(self) -> str:
        """The URL that spans are posted to."""
        base = self.exporter_otlp_endpoint or "http://localhost:4318"
        return self.exporter_otlp_traces_endpoint or f"{base}/v1/traces"

    @property
    def ratio(self) -> float:
        """OTEL_TRACES_SAMPLER_ARG, read."""
        return float(self.traces_sampler_arg or 1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on:
            _check_words(self)
            _check_pairs("OTEL_RESOURCE_ATTRIBUTES", self.resource_attributes)
            _check_pairs("OTEL_EXPORTER_OTLP_HEADERS", self.exporter_otlp_headers.get_secret_value())
            if self.bsp_max_export_batch_size > self.bsp_max_queue_size:
                raise ValueError("OTEL_BSP_MAX_EXPORT_BATCH_SIZE: is more than OTEL_BSP_MAX_QUEUE_SIZE: lower it")
        return self


def _check_words(config: TracingConfig) -> None:
    if config.traces_exporter not in ("", *EXPORTERS):
        raise ValueError(f"OTEL_TRACES_EXPORTER: must be {' or '.join(EXPORTERS)}")
    if config.exporter_otlp_protocol != PROTOCOL:
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: this service speaks {PROTOCOL} alone: unset it, and name the collector's "
            "port for HTTP (4318) in OTEL_EXPORTER_OTLP_ENDPOINT"
        )
    if config.exporter_otlp_compression not in ("none", "gzip"):
        raise ValueError("OTEL_EXPORTER_OTLP_COMPRESSION: must be none or gzip")
    if config.traces_sampler not in SAMPLERS:
        raise ValueError(f"OTEL_TRACES_SAMPLER: must be one of {', '.join(SAMPLERS)}")
    if config.traces_sampler.endswith("ratio") and not _is_ratio(config.traces_sampler_arg):
        raise ValueError("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1")


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text or 1.0) <= 1
    except ValueError:
        return False


def _check_pairs(name: str, text: str) -> None:
    try:
        parse_pairs(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
