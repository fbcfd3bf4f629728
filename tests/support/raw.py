"""HTTP as bytes on a socket: what no library would send, and every answer that came back."""

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser

ANSWER_SECONDS = 10.0

Address = tuple[str, int]


@dataclass(frozen=True)
class RawAnswer:
    """One answer of a connection."""

    status: int
    headers: Message
    body: bytes


@dataclass
class Conversation:
    """Everything that came back. `ended`: the server closed the connection, by FIN or RST."""

    ended: bool
    received: bytes
    answers: list[RawAnswer] = field(default_factory=list)

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def connect(address: Address, timeout: float = ANSWER_SECONDS) -> socket.socket:
    return socket.create_connection(address, timeout)


def reset(connection: socket.socket) -> None:
    """End it by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def converse(address: Address, *parts: bytes, timeout: float = ANSWER_SECONDS) -> Conversation:
    """Send the parts, one packet each, and read until the server ends the connection, or is silent for `timeout`."""
    with connect(address, timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # it may end the connection before it has everything
            for part in parts:
                connection.sendall(part)
        return listen(connection)


def listen(connection: socket.socket) -> Conversation:
    """Read until the end."""
    received, ended = b"", True
    try:
        while part := connection.recv(65536):
            received += part
    except TimeoutError:
        ended = False
    except ConnectionError:
        pass
    return Conversation(ended, received, list(answers_in(received)))


def answers_in(received: bytes) -> list[RawAnswer]:
    """Split by Content-Length. AssertionError for bytes that are no answer, or half of one."""
    found = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        status_line, _, lines = head.partition(b"\r\n")
        version, status, _ = status_line.split(b" ", 2)
        assert (version, separator) == (b"HTTP/1.1", b"\r\n\r\n"), received
        headers = BytesParser().parsebytes(lines)
        assert headers.get_all("transfer-encoding") is None, head
        length = int(headers.get("content-length", "0"))
        assert len(rest) >= length, received
        found.append(RawAnswer(int(status), headers, rest[:length]))
        received = rest[length:]
    return found
