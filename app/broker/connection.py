"""How Kafka is reached: the one place that knows librdkafka's names for it, and that keeps its secrets out of sight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

RECONNECT_MAX_MILLISECONDS = 1_000
"""librdkafka's own is 10 s: a broker that comes back would be found that late."""

NOTICE = 5
"""As syslog counts. Beyond it clients tell of every idle connection that a broker closes, and of their own end."""


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """`bootstrap_servers` is `host:port,…`; `security` has librdkafka's settings for TLS and SASL, with passwords."""

    bootstrap_servers: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of a client: these, and `more` by librdkafka's names with `_` for `.`, or callbacks as they are."""
        common: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "reconnect.backoff.max.ms": RECONNECT_MAX_MILLISECONDS,
            "log_level": NOTICE,
        }
        own = {name if callable(value) else name.replace("_", "."): value for name, value in more.items()}
        return common | dict(self.security) | own


class Trouble:
    """The `error_cb` of a client: remembers why it has no connection, for requests only say that they timed out.

    librdkafka's texts name brokers, certificates and mechanisms, never a password.
    """

    def __init__(self) -> None:
        self._cause = ""

    def __call__(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # that one only counts the others
            self._cause = error.str()

    def forget(self) -> None:
        """Before a request: what was wrong earlier does not explain it."""
        self._cause = ""

    def explain(self, error: KafkaException | None = None) -> str:
        """Why a request failed, or was not answered in time."""
        said = "no answer in time" if error is None else error.args[0].str()
        return f"{self._cause} ({said})" if self._cause else said


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """How topics are made, and what existing ones are held to. `max_message_bytes` is for those that hold reviews."""

    partitions: int = 12
    replication_factor: int = 1
    max_message_bytes: int = 2_000_000
