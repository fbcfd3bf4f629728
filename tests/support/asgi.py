"""Calls an ASGI application in this process, as a server would, from any client address and in any chunks."""

import json as json_codec
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp

LOOPBACK = ("127.0.0.1", 54321)


@dataclass(frozen=True)
class Answer:
    """Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json_codec.loads(self.body)

    @property
    def problem(self) -> str:
        """The machine's word of the problem that this is."""
        assert self.headers["content-type"] == "application/problem+json", self.text
        told = self.json()
        assert told["status"] == self.status
        assert all(told[member] for member in ("title", "detail"))
        return str(told["type"]).removeprefix("urn:review-fetcher:problem:")


class AsgiClient:
    """`headers` go with every request, after those of a program that calls http://localhost."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        client: tuple[str, int] | None = LOOPBACK,
        server: tuple[str, int] = ("127.0.0.1", 8000),
        **headers: str,
    ) -> None:
        self._app = app
        self._client = client
        self._server = server
        self._headers = {"host": "localhost"} | headers

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.request("GET", target, headers=headers)

    async def post(self, target: str, json: Any, **headers: str) -> Answer:
        return await self.request("POST", target, json=json, headers=headers)

    async def put(self, target: str, json: Any, **headers: str) -> Answer:
        return await self.request("PUT", target, json=json, headers=headers)

    async def request(
        self,
        method: str,
        target: str,
        *,
        json: Any = None,
        chunks: Iterable[bytes] = (),
        headers: MutableMapping[str, str] | None = None,
    ) -> Answer:
        """`json` is sent with its content type; otherwise the body is `chunks`, as they are."""
        sent = dict(self._headers)
        if json is not None:
            chunks = [json_codec.dumps(json).encode()]
            sent["content-type"] = "application/json"
        sent |= {name.lower().replace("_", "-"): value for name, value in (headers or {}).items()}
        return await self.exchange(self.scope(method, target, sent), chunks)

    async def exchange(self, scope: dict[str, Any], chunks: Iterable[bytes] = ()) -> Answer:
        """A request as a server tells it."""
        exchange = _Exchange(list(chunks))
        await self._app(scope, exchange.receive, exchange.send)
        return exchange.answer()

    def scope(self, method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
        """What a server says of a request."""
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": self._client,
            "server": self._server,
            "state": {},
        }


class _Exchange:
    """One request's messages both ways."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks or [b""]
        self._sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self._chunks:
            return {"type": "http.disconnect"}
        chunk = self._chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self._sent.append(message)

    def answer(self) -> Answer:
        start, *parts = self._sent
        headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in parts))
