"""A running service, asked over HTTP as any client would."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp

from app.cli.exits import CommandError, UsageError
from app.models.overview import Overview
from app.models.quota import QuotaReport
from app.models.views import JobList, JobView, LocationList

JOBS = "/api/v1/review-fetch"
OVERVIEW = "/api/v1/overview"
QUOTA = "/api/v1/quota"
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)


class Service:
    """`async with Service("http://127.0.0.1:8000", "rf_…") as service`. Every failure is a CommandError."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"X-API-Key": api_key} if api_key else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def submit(self, access_token: str) -> str:
        """The id of the new job."""
        answer = await self._json("POST", JOBS, json={"access_token": access_token})
        return str(answer["job_id"])

    async def job(self, job_id: str) -> JobView:
        return JobView.model_validate(await self._json("GET", f"{JOBS}/{job_id}"))

    async def jobs(self, status: str | None, limit: int) -> JobList:
        query = {"limit": str(limit)} | ({"status": status} if status else {})
        return JobList.model_validate(await self._json("GET", JOBS, params=query))

    async def locations(self, job_id: str, limit: int) -> LocationList:
        answer = await self._json("GET", f"{JOBS}/{job_id}/locations", params={"limit": str(limit)})
        return LocationList.model_validate(answer)

    async def overview(self) -> Overview:
        return Overview.model_validate(await self._json("GET", OVERVIEW))

    async def quota(self) -> QuotaReport:
        return QuotaReport.model_validate(await self._json("GET", QUOTA))

    async def reviews(self, job_id: str, form: str) -> AsyncIterator[bytes]:
        """The job's reviews as ndjson or csv, as they arrive."""
        try:
            async with self._session.get(f"{self._url}{JOBS}/{job_id}/reviews", params={"format": form}) as answer:
                await _check(answer)
                async for chunk in answer.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._away(error) from error

    async def _json(self, method: str, path: str, **request: Any) -> Any:
        try:
            async with self._session.request(method, self._url + path, allow_redirects=False, **request) as answer:
                await _check(answer)
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> CommandError:
        if isinstance(error, aiohttp.InvalidURL):
            return UsageError(f"--server: {self._url} must look like http://127.0.0.1:8000")
        return CommandError(f"no usable answer from {self._url} ({type(error).__name__}): does the service run there?")


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises CommandError with the words of the service's problem+json."""
    if answer.status < 300:
        return
    try:
        problem = await answer.json(content_type=None)
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        detail = "the answer is not one of this service: check the URL"
    hint = " (set --api-key or REVIEW_FETCHER_API_KEY)" if answer.status == 401 else ""
    raise CommandError(f"HTTP {answer.status}: {detail}{hint}")
