"""Many clients that POST at once, over connections that they keep: bare streams, which cost little of the machine.

`python -m tests.support.crowd HOST PORT TOKEN COUNT CONNECTIONS`: a crowd as a process of its own, of COUNT posts, or
with `-` as COUNT of as many as it can send until its standard input ends. It prints one JSON object: `{"statuses":
{"202": n}, "broken", "retry_after": [...], "accepted": [...], "seconds"}`.
"""

import asyncio
import json
import sys
import time
from collections import Counter

import uvloop

UNTIL_INPUT_ENDS = "-"


class Crowd:
    """`post` sends jobs, each with a token of its own; a connection that breaks is not opened again."""

    def __init__(self, host: str, port: int, token: str, connections: int) -> None:
        self.accepted: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.retry_after: set[str] = set()
        self.broken = 0
        self._host = host
        self._port = port
        self._token = token
        self._connections = connections
        self._sent = 0
        self._leaving = False
        self._answers = asyncio.Condition()

    async def post(self, count: int) -> None:
        """Returns when `count` jobs were sent and answered, every connection broke, or the crowd left."""
        await asyncio.gather(*(self._client(count) for _ in range(self._connections)))

    def leave(self) -> None:
        """Nothing more is sent; what was sent is still answered."""
        self._leaving = True

    async def answered(self, count: int) -> None:
        """Returns as soon as so many answers have come."""
        async with self._answers:
            await self._answers.wait_for(lambda: self.statuses.total() >= count)

    async def _client(self, count: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            self.broken += 1
            return
        try:
            while self._sent < count and not self._leaving:
                self._sent += 1
                writer.write(self._request(self._sent))
                await self._answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            self.broken += 1
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        status = int(head.split()[1])
        if status == 202:
            self.accepted.append(body["job_id"])
        else:
            self.retry_after.add(headers.get("retry-after", ""))
        async with self._answers:
            self.statuses[status] += 1
            self._answers.notify_all()

    def _request(self, number: int) -> bytes:
        body = json.dumps({"access_token": f"{self._token}-n{number}"})
        return (
            f"POST /api/v1/review-fetch HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def _main(host: str, port: str, token: str, count: str, connections: str) -> None:
    crowd = Crowd(host, int(port), token, int(connections))
    began = time.monotonic()
    if count == UNTIL_INPUT_ENDS:
        leaving = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        leaving.add_done_callback(lambda _: crowd.leave())
        await crowd.post(sys.maxsize)
    else:
        await crowd.post(int(count))
    told = {
        "statuses": crowd.statuses,
        "broken": crowd.broken,
        "retry_after": sorted(crowd.retry_after),
        "accepted": crowd.accepted,
        "seconds": time.monotonic() - began,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
