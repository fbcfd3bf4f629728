"""Access tokens of jobs that have a grant: renewed before they expire, or when Google takes them no more.

While the old token lives nobody waits for the new one. Without a token that lives, tasks wait in hand for a moment and
then go back, which spends no attempt; the scheduler releases none of them until there is a token
(`app.store.release`). Whatever the number of a job's tasks, a process asks the store once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, assert_never

from app.clock import Clock, first_done
from app.google.errors import GoogleAPIError
from app.limits.permits import LONGEST_WAIT_SECONDS
from app.models.grant import refresh_due_at
from app.models.job import HeldTask, Problem, TaskStatus
from app.pipeline.exchange import Later, Renewed, Subject, TokenExchange
from app.pipeline.outcome import Advance, Outcome, Snooze
from app.pipeline.refusals import token_refused
from app.pipeline.settle import stay
from app.store.refresh import CurrentToken

MOST_KNOWN = 256
"""Jobs whose newest token is remembered, for the tasks in hand that were claimed with an older one."""

SOON_SECONDS = 1.0
"""While another asks, or Google takes its time, tasks look again so soon."""

SAME_SECONDS = 5.0
"""That the store finds it too early is believed for so long, should this process's clock be ahead of the store's."""


class _Answer(NamedTuple):
    """What asking brought, and when (by this process's clock)."""

    renewed: Renewed
    at: float


class TokenRefresher:
    """Asked before each call, and when one is refused. `wake`: a job has a token again, and its tasks may go on."""

    def __init__(self, exchange: TokenExchange, clock: Clock, wake: Callable[[], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._wake = wake
        self._known: OrderedDict[str, CurrentToken] = OrderedDict()
        self._asking: OrderedDict[Subject, asyncio.Task[_Answer]] = OrderedDict()

    async def ready(self, task: HeldTask) -> Outcome | None:
        """None: the task has the newest token and may call with it; else what becomes of the task."""
        if not task.token_refreshable:
            return None
        self._adopt(task)
        if self._clock.now() < _due_at(task):
            return None
        if self._lives(task):
            self._ask(task, refused=False)
            return None
        waits = await self._renewed(task, refused=False)
        self._adopt(task)
        return waits

    async def refused(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """Google refuses the task's token: the same page again with another one, no attempt spent; or what to do."""
        if not task.token_refreshable:
            return token_refused(task, error, self._clock.now())
        return await self._renewed(task, refused=True) or Advance(stay(task, TaskStatus.HELD), page=False)

    async def close(self, grace: float) -> None:
        """What is under way has `grace` seconds to end. Idempotent."""
        if under_way := {asking for asking in self._asking.values() if not asking.done()}:
            _, late = await asyncio.wait(under_way, timeout=grace)
            for asking in late:
                asking.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _renewed(self, task: HeldTask, *, refused: bool) -> Outcome | None:
        asking = self._ask(task, refused=refused)
        await first_done(self._clock, LONGEST_WAIT_SECONDS, (asking,))
        if not asking.done():
            return Snooze(self._clock.now() + SOON_SECONDS)
        now, renewed = self._clock.now(), asking.result().renewed
        match renewed:
            case CurrentToken():
                return None
            case Later():
                return Snooze(now + _wait(renewed), renewed.reason)
            case Problem():
                return Snooze(now, token_problem=renewed)
        assert_never(renewed)

    def _ask(self, task: HeldTask, *, refused: bool) -> asyncio.Task[_Answer]:
        """All who ask about one token get the one answer, for as long as it is worth something."""
        subject = Subject(task.tenant, task.job_id, task.credential_version, refused)
        asking = self._asking.get(subject)
        if asking is None or self._is_over(task, asking):
            asking = asyncio.create_task(self._answer(subject))
            self._asking[subject] = asking
            self._forget()
        return asking

    async def _answer(self, subject: Subject) -> _Answer:
        renewed = await self._exchange.renew(subject)
        if isinstance(renewed, CurrentToken):
            self._remember(subject.job_id, renewed)
            self._wake()
        return _Answer(renewed, self._clock.now())

    def _is_over(self, task: HeldTask, asking: asyncio.Task[_Answer]) -> bool:
        """Whether the answer, for this task, is worth asking again. While the token lives there is no hurry."""
        if not asking.done():
            return False
        if asking.cancelled() or asking.exception() is not None:
            return True
        renewed, at = asking.result()
        match renewed:
            case CurrentToken():
                seconds = SAME_SECONDS
            case Later():
                seconds = renewed.seconds if self._lives(task) else _wait(renewed)
            case Problem():
                return False
        return self._clock.now() >= at + seconds

    def _adopt(self, task: HeldTask) -> None:
        """The task in hand goes on with the newest token that this process knows."""
        known = self._known.get(task.job_id)
        if known is not None and known.version > task.credential_version:
            task.credential_version, task.sealed_token = known.version, known.sealed
            task.token_expires_at, task.token_refreshed_at = known.expires_at, known.refreshed_at

    def _lives(self, task: HeldTask) -> bool:
        expires_at = task.token_expires_at
        return bool(task.sealed_token) and (expires_at is None or self._clock.now() < expires_at)

    def _remember(self, job_id: str, token: CurrentToken) -> None:
        known = self._known.get(job_id)
        if known is None or known.version <= token.version:
            self._known[job_id] = token
        self._known.move_to_end(job_id)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _forget(self) -> None:
        """The oldest answers; what is under way is kept until it ends."""
        for subject in [subject for subject, asking in self._asking.items() if asking.done()]:
            if len(self._asking) <= MOST_KNOWN:
                return
            del self._asking[subject]


def _wait(later: Later) -> float:
    """For how long a task without a token goes back: who asks elsewhere may have one any moment."""
    return later.seconds if later.reason else SOON_SECONDS


def _due_at(task: HeldTask) -> float:
    """At once without a token."""
    return refresh_due_at(task.token_expires_at, task.token_refreshed_at) if task.sealed_token else 0.0
