"""What becomes of an answer: whether the client takes it, and how the connection ends behind it."""

from typing import Any, Protocol

from app.edge.bounds import LEAST_TAKEN


class Untaken:
    """How long a client has left what is sent to it. To take less than `LEAST_TAKEN` is to leave it."""

    def __init__(self) -> None:
        self._left = 0
        self._since: float | None = None

    def forget(self) -> None:
        """Nothing is waiting for the client."""
        self._since = None

    def seconds(self, left: int, now: float) -> float:
        """Since when, with so many bytes left that nothing is added to."""
        if self._since is None or left <= self._left - LEAST_TAKEN:
            self._left, self._since = left, now
        return now - self._since


class Closing(Protocol):
    """A connection that knows whether its client still sends."""

    transport: Any

    def close_politely(self) -> None:
        """Closing on a client that still sends is a reset, by which it may lose the answer: then wait for a moment."""


class PoliteTransport:
    """The transport as the answer to a request sees it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Closing) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)

    def close(self) -> None:
        self._connection.close_politely()
