"""Replicas that are played, for what a proxy does with requests when they come, go, and die in the middle of one."""

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.service import JOBS, Answer

FORGED = {"X-Forwarded-For": "10.9.8.7", "Forwarded": "for=10.9.8.7", "X-Forwarded-Proto": "https"}
"""Of a caller that pretends to come from elsewhere."""

NO_ANSWER = b""


def answer(status: int, body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Replica:
    """Answers as it is told to; `dies` takes a request and closes the connection without a word.

    `hangs` takes a request and says nothing until `end`.
    """

    name: str
    ready: bool = True
    dies: bool = False
    hangs: bool = False
    requests: list[str] = field(default_factory=list)
    listening: socket.socket = field(default_factory=socket.socket)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listening.getsockname()[1]}"

    def start(self, port: int = 0) -> None:
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(("127.0.0.1", port))
        self.listening.listen(50)
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """From now on connections are refused."""
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()

    def end(self) -> None:
        """Nobody waits for it any more."""
        self._ended.set()
        self.listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(65536)
                if request:
                    self._send(connection, self._answered(request.decode()))

    def _send(self, connection: socket.socket, answered: bytes) -> None:
        with suppress(OSError):  # who asked has left a replica that hung
            connection.sendall(answered)

    def _answered(self, request: str) -> bytes:
        method, path, _ = request.split(" ", 2)
        if path in ("/readyz", "/livez"):
            return answer(200 if self.ready or path == "/livez" else 503)
        self.requests.append(request)
        if self.hangs:
            self._ended.wait()
        return NO_ANSWER if self.dies else answer(202 if method == "POST" else 200, self.name.encode())


@contextmanager
def two_replicas() -> Iterator[list[Replica]]:
    started = [Replica("one"), Replica("two")]
    for replica in started:
        replica.start()
    try:
        yield started
    finally:
        for replica in started:
            replica.end()


@dataclass
class Proxy:
    address: tuple[str, int]

    def ask(self, method: str, path: str = JOBS, headers: Mapping[str, str] | None = None) -> Answer:
        """A POST has `{}` as its body, unless `headers` announce another one, which is not sent then."""
        connection = http.client.HTTPConnection(*self.address, timeout=15)
        try:
            announced = "Content-Length" in (headers or {})
            connection.request(method, path, b"{}" if method == "POST" and not announced else None, dict(headers or {}))
            answered = connection.getresponse()
            named = {name.lower(): value for name, value in answered.getheaders()}
            return Answer(answered.status, named, answered.read())
        finally:
            connection.close()

    def request(self, method: str, path: str = JOBS, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body: a replica of this module answers with its name."""
        answered = self.ask(method, path, headers)
        return answered.status, answered.body

    def answering(self, times: int = 4) -> set[str]:
        """The names of the replicas that answer so many requests."""
        return {self.request("GET")[1].decode() for _ in range(times)}
