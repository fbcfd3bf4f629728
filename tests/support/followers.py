"""Many clients that follow one job, some of which never read: bare sockets, which cost little of the machine.

`python -m tests.support.followers HOST PORT JOB COUNT FROZEN`: a crowd as a process of its own. It prints a JSON object
a line: `{"told": "processing", "last"}` when every client that reads has been told a state, the last of them at that
epoch time; and `{"ended", "done", "slowest", "events", "heartbeats"}` when every stream has ended: how many, how many
of them after `done`, and the longest time in seconds from the settle of a page to the arrival of its event.
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from datetime import datetime

from tests.support.events import Event, parse

SMALLEST_BUFFER = 2_304
"""What Linux gives at least."""

CONNECTING = 50
"""So many at once: a listening socket holds no thousand connections that nobody took yet."""


class Followers:
    """`count` clients, of which `frozen` never read."""

    def __init__(self, host: str, port: int, job_id: str, count: int, frozen: int) -> None:
        self._address = (host, port)
        self._request = f"GET /api/v1/review-fetch/{job_id}/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        self._readers = count - frozen
        self._frozen = frozen
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._told: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._slowest = 0.0

    async def follow(self) -> None:
        """Returns when every client that reads has seen the end of its stream."""
        frozen = [await self._freeze() for _ in range(self._frozen)]
        await asyncio.gather(*(self._read() for _ in range(self._readers)))
        for connection in frozen:
            connection.close()
        done, beats = self._kinds["done"], self._kinds[""]
        _say(
            ended=self._readers, done=done, slowest=self._slowest, events=self._kinds.total() - beats, heartbeats=beats
        )

    async def _freeze(self) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, self._address)
        await loop.sock_sendall(connection, self._request)
        return connection

    async def _read(self) -> None:
        async with self._connecting:
            reader, writer = await asyncio.open_connection(*self._address)
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
        seen: set[str] = set()
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                chunk = await reader.readexactly(size + 2)
                for event in parse(chunk[:-2]):
                    self._note(event, time.time(), is_first=event.kind not in seen)
                    seen.add(event.kind)
        except (OSError, asyncio.IncompleteReadError):
            _say(broken=True)
        finally:
            writer.close()

    def _note(self, event: Event, now: float, *, is_first: bool) -> None:
        """The first of its kind tells how things stood when the client came."""
        self._kinds[event.kind] += 1
        if event.kind == "state":
            status = event.data["status"]
            self._told[status] += 1
            if self._told[status] == self._readers:
                del self._told[status]
                _say(told=status, last=now)
        elif event.kind == "progress" and not is_first:
            self._slowest = max(self._slowest, now - datetime.fromisoformat(event.data["updated_at"]).timestamp())


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Followers(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])).follow())
