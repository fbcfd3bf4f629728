"""The console over a real SQLite store, called in this process as a browser would: cookies kept, forms filled in."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from app.clock import Clock, SystemClock
from app.console.application import add_console, create_console
from app.console.services import set_console_services
from app.console.sessions import COOKIE, Sessions
from app.store.database import Database
from tests.support.api import SEALER, ServedApi, served_api
from tests.support.asgi import LOOPBACK, Answer, AsgiClient

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_COOKIE = re.compile(r"((?:__Host-)?review_fetcher_console)=([^;]*)")


@dataclass
class Browser:
    """Keeps the session's cookie by its name. `csrf` is the token of the newest page that had a form."""

    client: AsgiClient
    cookie: str = ""
    cookie_name: str = COOKIE
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Answer:
        return self._seen(await self.client.get(path, **self._sent(headers)))

    async def post(self, path: str, *pairs: tuple[str, str], csrf: str | None = None, **fields: str) -> Answer:
        """Send a form; its token is that of the newest page unless another is given."""
        filled = [("csrf", self.csrf if csrf is None else csrf), *fields.items(), *pairs]
        headers = self._sent({"content-type": "application/x-www-form-urlencoded"})
        answer = await self.client.request("POST", path, chunks=[urlencode(filled).encode()], headers=headers)
        return self._seen(answer)

    async def sign_in(self, key: str, wanted: str = "") -> Answer:
        await self.get("/console/sign-in")
        return await self.post("/console/sign-in", key=key, next=wanted)

    def _sent(self, headers: dict[str, str]) -> dict[str, str]:
        return self.headers | headers | ({"cookie": f"{self.cookie_name}={self.cookie}"} if self.cookie else {})

    def _seen(self, answer: Answer) -> Answer:
        if found := _COOKIE.search(answer.headers.get("set-cookie", "")):
            self.cookie_name, self.cookie = found.groups()
        if (answer.headers.get("content-type") or "").startswith("text/html") and (token := _CSRF.search(answer.text)):
            self.csrf = unescape(token[1])
        return answer


@dataclass
class ServedConsole:
    """The API, the console beside it, and browsers."""

    api: ServedApi
    console: FastAPI

    def browser(self, client: tuple[str, int] | None = LOOPBACK) -> Browser:
        return Browser(AsgiClient(self.api.app, client=client))


@asynccontextmanager
async def served_console(
    database: Database, clock: Clock | None = None, **options: Any
) -> AsyncIterator[ServedConsole]:
    """`options` are those of `served_api`."""
    async with served_api(database, clock=clock, **options) as api:
        console = create_console(version="1.2.3")
        set_console_services(console, api.services, Sessions(SEALER, clock or SystemClock(), database))
        add_console(api.app, console)
        yield ServedConsole(api, console)
