"""A started client in front of a server that answers as told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import GoogleAPIError
from tests.support.clock import ManualClock
from tests.unit.google.server import Answer, Server, serving

TOKEN = "ya29.a0AfB_by-this-is-a-secret/token=="
REVIEW = {"reviewId": "r1", "name": "accounts/1/locations/2/reviews/r1", "starRating": "FIVE"}
PAGE = json.dumps({"reviews": [REVIEW], "totalReviewCount": 1, "averageRating": 5}).encode()


@asynccontextmanager
async def google(
    *answers: Answer, deadline: float = 30.0, max_page_bytes: int = 2**20, connections: int = 64
) -> AsyncIterator[tuple[GoogleAPIClient, Server]]:
    async with serving(*answers) as server:
        client = GoogleAPIClient(
            Endpoints.at(server.url),
            deadline=deadline,
            max_page_bytes=max_page_bytes,
            connections=connections,
            clock=ManualClock(),
        )
        async with client:
            yield client, server


async def failure(client: GoogleAPIClient, page_token: str | None = None) -> GoogleAPIError:
    with pytest.raises(GoogleAPIError) as caught:
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", page_token)
    return caught.value
