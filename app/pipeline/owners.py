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
"""Nor is it asked again about that token before so many times as long as it took to fail: a job's tasks wait for it."""


class Owner(NamedTuple):
    """The Google project of a token (None: Google could not be asked just now), and when it expires (seconds since
    1970), if Google tells."""

    project: str | None
    token_expires_at: float | None


class _Answer(NamedTuple):
    """What was learned, and how long that is worth something, in monotonic seconds."""

    owner: Owner
    good_until: float = math.inf


class TokenOwners:
    """Asks tokeninfo. Of one credential version of a job all askers get the one answer, for as long as it is good.

    That Google cannot be asked says nothing of the token: for a moment it is asked about no other either, or each page
    of many jobs would wait for a question that times out.
    """

    def __init__(self, google: GoogleAPIClient, clock: Clock) -> None:
        self._google = google
        self._clock = clock
        self._answers: OrderedDict[tuple[str, int], asyncio.Task[_Answer]] = OrderedDict()
        self._ask_from = -math.inf
        """Monotonic seconds."""

    async def of(self, task: HeldTask, token: str) -> tuple[Owner, bool]:
        """The owner, and whether a call was made for it. `GoogleAPIError` only when Google refuses the token."""
        key = (task.job_id, task.credential_version)
        answer = self._answers.get(key)
        if answer is not None and not self._is_over(answer):
            return (await asyncio.shield(answer)).owner, False
        if self._clock.monotonic() < self._ask_from:
            return Owner(None, None), False
        asking = asyncio.create_task(self._ask(token))
        self._answers[key] = asking
        while len(self._answers) > MOST_KNOWN:
            self._answers.popitem(last=False)
        return (await asyncio.shield(asking)).owner, True

    async def _ask(self, token: str) -> _Answer:
        began = self._clock.monotonic()
        try:
            info = await self._google.token_info(token)
        except GoogleAPIError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:
                raise
            if error.kind in (ErrorKind.TRANSIENT, ErrorKind.THROTTLED):
                return self._nothing_for_now(began)
            return _Answer(Owner(DEFAULT_PROJECT, None))
        self._ask_from = -math.inf
        expires_at = None if info.expires_in is None else self._clock.now() + info.expires_in
        return _Answer(Owner(info.project or DEFAULT_PROJECT, expires_at))

    def _nothing_for_now(self, began: float) -> _Answer:
        now = self._clock.monotonic()
        self._ask_from = now + ASK_AGAIN_SECONDS
        return _Answer(Owner(None, None), now + max(ASK_AGAIN_SECONDS, TIMES_AS_LONG * (now - began)))

    def _is_over(self, answer: asyncio.Task[_Answer]) -> bool:
        """Whether to ask anew."""
        if not answer.done():
            return False
        failed = answer.cancelled() or answer.exception() is not None
        return failed or answer.result().good_until <= self._clock.monotonic()
