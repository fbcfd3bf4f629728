"""Questions over HTTP to what runs on this machine."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

SECONDS = 10.0


class Answer(NamedTuple):
    """Status 0: there was none."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, path: str, body: Any = None, headers: Mapping[str, str] | None = None, seconds: float = SECONDS
) -> Answer:
    """GET, or POST of a body as JSON, to 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        if body is None:
            connection.request("GET", path, headers=dict(headers or {}))
        else:
            content = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), {**content, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    except (OSError, http.client.HTTPException):
        return Answer(0, b"")
    finally:
        connection.close()
