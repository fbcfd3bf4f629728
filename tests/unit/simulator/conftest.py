"""A simulator of a small world, and a client that speaks to it as a plain HTTP client would."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import pytest

from app.simulator import Catalogue, Simulator

WORLD = Catalogue(seed=5, accounts=3, locations=4, reviews=120, shared_locations=1)

TOKEN = "ya29.plain"


class Reply(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """GETs with a bearer token; JSON comes back as a value, anything else as text."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    async def get(self, path: str, token: str = TOKEN, **query: Any) -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if not path.startswith("/_sim/"):
            query = {"prettyPrint": "false", **query}
        async with self.session.get(self.simulator.url + path, params=query, headers=headers) as response:
            return await _read(response)

    async def send(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, self.simulator.url + path, **options) as response:
            return await _read(response)

    async def pages(self, path: str, **query: Any) -> list[Any]:
        """The bodies of all pages of a list."""
        bodies = [(await self.get(path, **query)).body]
        while "nextPageToken" in bodies[-1]:
            bodies.append((await self.get(path, **query, pageToken=bodies[-1]["nextPageToken"])).body)
        return bodies

    def reviews_path(self, location: int = 1, account: int = 0) -> str:
        """The path of reviews.list for a location that the account lists, by numbers."""
        catalogue = self.simulator.catalogue
        number = catalogue.location_at(account, location)
        return f"/v4/{catalogue.account_name(account)}/{catalogue.location_name(number)}/reviews"


async def _read(response: aiohttp.ClientResponse) -> Reply:
    text = await response.text()
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    return Reply(response.status, body, dict(response.headers))


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(WORLD) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(simulator, session)
