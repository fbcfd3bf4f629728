"""How much of what a client may take."""

from dataclasses import dataclass, replace

LONGEST_TARGET = 8 * 1024
"""Bytes of path and query. A cursor has about a hundred, a filter of the console some hundreds."""

LARGEST_HEAD = 16 * 1024
"""Bytes of request line and headers."""

MOST_HEADERS = 100

LARGEST_BODY = 2**20
"""Bytes on the way, frames of chunks and trailers among them. The application takes 64 KiB of what is in it."""

MOST_PIPELINED = 16
"""Requests of one connection that may wait for their turn: each that is read is kept until then."""

LEAST_TAKEN = 16 * 1024
"""Bytes of an answer, or what is left of it, that a client has to take within `stalled_seconds`."""

LOOK_SECONDS = 1.0
"""How often connections are looked at: what is late is late by so much more."""

SPARE_CONNECTIONS = 64
"""Connections beyond the limit that are told so before they end. Others find the door shut."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one process. Seconds; `head_seconds` counts from the connection, or from the end of the answer before.

    `hurried_seconds` takes its place while nine tenths of `connections` are taken: who says nothing makes room.
    `stalled_seconds` is not below what the streams of the API have, whose ends are told in the log.
    """

    connections: int
    head_seconds: float = 10.0
    hurried_seconds: float = 1.0
    body_seconds: float = 30.0
    stalled_seconds: float = 60.0
    linger_seconds: float = 2.0

    def with_room_for_operators(self) -> "Bounds":
        """For a port of theirs: probes and scrapes get in while clients have all other connections."""
        return replace(self, connections=self.connections + 2 * SPARE_CONNECTIONS)

    def head_patience(self, open_connections: int) -> float:
        """How long a request may take until its head has ended, with so many connections."""
        crowded = open_connections * 10 >= self.connections * 9
        return self.hurried_seconds if crowded else self.head_seconds
