"""Whose quota a token spends: asked once a token, however many tasks come to need it at the same time."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from app.clock import Clock
from app.google.client import GoogleAPIClient
from app.google.errors import ErrorKind, GoogleAPIError
from app.models.job import DEFAULT_PROJECT, HeldTask

MOST_KNOWN = 256
"""Tokens remembered. The store remembers too: this is for tasks that were claimed before it did."""


class Owner(NamedTuple):
    """The Google project of a token, and when it expires (seconds since 1970), if Google tells."""

    project: str
    token_expires_at: float | None


class TokenOwners:
    """Asks tokeninfo. Of one credential version of a job all askers get the one answer."""

    def __init__(self, google: GoogleAPIClient, clock: Clock) -> None:
        self._google = google
        self._clock = clock
        self._answers: OrderedDict[tuple[str, int], asyncio.Task[Owner]] = OrderedDict()

    async def of(self, task: HeldTask, token: str) -> tuple[Owner, bool]:
        """The owner, and whether a call was made for it. `GoogleAPIError` only when Google refuses the token."""
        key = (task.job_id, task.credential_version)
        answer = self._answers.get(key)
        if answer is not None and not _failed(answer):
            return await asyncio.shield(answer), False
        asking = asyncio.create_task(self._ask(token))
        self._answers[key] = asking
        while len(self._answers) > MOST_KNOWN:
            self._answers.popitem(last=False)
        return await asyncio.shield(asking), True

    async def _ask(self, token: str) -> Owner:
        try:
            info = await self._google.token_info(token)
        except GoogleAPIError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:
                raise
            return Owner(DEFAULT_PROJECT, None)
        expires_at = None if info.expires_in is None else self._clock.now() + info.expires_in
        return Owner(info.project or DEFAULT_PROJECT, expires_at)


def _failed(answer: asyncio.Task[Owner]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
