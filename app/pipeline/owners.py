"""Whose quota a token spends: asked once a token, however many tasks come to need it at the same time."""

import asyncio
import math
from collections import OrderedDict
from typing import NamedTuple

from app.clock import Clock
from app.google.client import GoogleAPIClient
from app.google.errors import ErrorKind, GoogleAPIError
from app.models.job import DEFAULT_PROJECT, HeldTask

MOST_KNOWN = 256
"""Tokens remembered. The store remembers too: this is for tasks that were claimed before it did."""

ASK_AGAIN_SECONDS = 10.0
"""Until the next question, about any token, when Google could not be asked: until then a quota may be the wrong one."""

TIMES_AS_LONG = 10
"""Nor is it asked again before so many times as long as it took to fail: tasks wait for the answer."""


class Owner(NamedTuple):
    """The Google project of a token (None: Google could not be asked just now), and when it expires (seconds since
    1970), if Google tells."""

    project: str | None
    token_expires_at: float | None


_UNKNOWN = Owner(None, None)


class TokenOwners:
    """Asks tokeninfo. Of one credential version of a job all askers get the one answer.

    That Google cannot be asked says nothing of the token: it is asked about none for a while, or each page of many
    jobs would wait for a question that times out.
    """

    def __init__(self, google: GoogleAPIClient, clock: Clock) -> None:
        self._google = google
        self._clock = clock
        self._answers: OrderedDict[tuple[str, int], asyncio.Task[Owner]] = OrderedDict()
        self._ask_from = -math.inf
        """Monotonic seconds."""

    async def of(self, task: HeldTask, token: str) -> tuple[Owner, bool]:
        """The owner, and whether a call was made for it. `GoogleAPIError` only when Google refuses the token."""
        key = (task.job_id, task.credential_version)
        answer = self._answers.get(key)
        if answer is not None and _is_good(answer):
            return await asyncio.shield(answer), False
        if self._clock.monotonic() < self._ask_from:
            return _UNKNOWN, False
        asking = asyncio.create_task(self._ask(token))
        self._answers[key] = asking
        while len(self._answers) > MOST_KNOWN:
            self._answers.popitem(last=False)
        return await asyncio.shield(asking), True

    async def _ask(self, token: str) -> Owner:
        began = self._clock.monotonic()
        try:
            info = await self._google.token_info(token)
        except GoogleAPIError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:
                raise
            if error.kind in (ErrorKind.TRANSIENT, ErrorKind.THROTTLED):
                self._ask_later(began)
                return _UNKNOWN
            return Owner(DEFAULT_PROJECT, None)
        expires_at = None if info.expires_in is None else self._clock.now() + info.expires_in
        return Owner(info.project or DEFAULT_PROJECT, expires_at)

    def _ask_later(self, began: float) -> None:
        now = self._clock.monotonic()
        self._ask_from = max(self._ask_from, now + max(ASK_AGAIN_SECONDS, TIMES_AS_LONG * (now - began)))


def _is_good(answer: asyncio.Task[Owner]) -> bool:
    """It is to come, or it told something."""
    if not answer.done():
        return True
    return not answer.cancelled() and answer.exception() is None and answer.result() != _UNKNOWN
