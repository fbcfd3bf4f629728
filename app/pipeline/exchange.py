"""One access token renewed: the lease taken, Google asked, the answer settled. One replica does it at a time."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from app.clock import Clock
from app.crash import CrashPoint, crash_point
from app.credentials import Purpose, SealedTokenError, TokenSealer
from app.google.client import GoogleAPIClient
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import FreshToken
from app.limits.cooldown import LONGEST_SECONDS
from app.models.grant import RefreshGrant
from app.models.job import NO_TOKEN_YET, Problem
from app.pipeline.refusals import problem_of
from app.retry.policy import ExponentialBackoffPolicy
from app.store.database import Database, StoreUnavailableError
from app.store.refresh import (
    CurrentToken,
    FreshlyRefused,
    NewToken,
    RefreshLease,
    RefreshWait,
    begin_refresh,
    end_refresh,
    put_off_refresh,
)
from app.telemetry.events import Event

LEASE_SECONDS = 30.0
ASK_SECONDS = 20.0
"""For Google's answer: the rest of the lease is for the store to take it."""

STORE_RETRY_SECONDS = 0.5
MILLISECOND = 0.001

STREAK_SECONDS = 600.0
"""Nobody asked for so long after a failure was over: the next one is the first again. Replicas take turns at asking."""

MOST_STREAKS = 10_000
"""Jobs whose failures are remembered, in a few megabytes: one that is forgotten before its job fails again would make
that job wait for ever."""

log = structlog.get_logger(__name__)


class Subject(NamedTuple):
    """Whose token is to be renewed: the one of this `version`. `refused`: Google takes it no more, whatever its age."""

    tenant: str
    job_id: str
    version: int
    refused: bool


class _Streak(NamedTuple):
    """Failures of this process in a row: how many, when the first came, and when the wait after the last is over.

    In monotonic seconds. That nobody asked, because the job was paused or waited for quota, is no failure.
    """

    failures: int
    since: float
    over: float


@dataclass(frozen=True, slots=True)
class Later:
    """No new token yet, for the reason that people are told (empty: another asks), and for so many seconds."""

    seconds: float
    reason: str = ""


Renewed = CurrentToken | Later | Problem
"""The token to go on with; or when to ask again; or why there will be none before somebody gives the job another."""


class TokenExchange:
    """Asks the token endpoint; after failing for `token_wait` seconds without a token that lives, people must help."""

    def __init__(
        self,
        database: Database,
        google: GoogleAPIClient,
        sealer: TokenSealer,
        policy: ExponentialBackoffPolicy,
        clock: Clock,
        *,
        token_wait: float,
    ) -> None:
        self._database = database
        self._google = google
        self._sealer = sealer
        self._policy = policy
        self._clock = clock
        self._token_wait = token_wait
        self._streaks: OrderedDict[str, _Streak] = OrderedDict()

    async def renew(self, subject: Subject) -> Renewed:
        renewed = await self._asked_once(subject)
        if not isinstance(renewed, Later):
            self._streaks.pop(subject.job_id, None)
        return renewed

    async def _asked_once(self, subject: Subject) -> Renewed:
        try:
            begun = await self._database.write(
                begin_refresh, subject.job_id, subject.version, refused=subject.refused, lease=LEASE_SECONDS
            )
        except StoreUnavailableError:
            return Later(STORE_RETRY_SECONDS)
        match begun:
            case RefreshLease():
                return await self._with_lease(subject, begun)
            case RefreshWait():
                return Later(begun.seconds)
            case FreshlyRefused():
                detail = "Google refuses the access token that it gave for the refresh token a moment ago."
                return Problem("fresh_token_refused", f"{detail} Send a new one for this Google user.")
            case CurrentToken():
                return begun

    async def _with_lease(self, subject: Subject, lease: RefreshLease) -> Renewed:
        try:
            grant = self._open(subject, lease.sealed_grant)
            fresh = await self._ask(grant)
        except SealedTokenError as error:
            return await self._refused(subject, Problem("token_unreadable", str(error)))
        except GoogleAPIError as error:
            log.warning(Event.TOKEN_NOT_RENEWED, job_id=subject.job_id, cause=error.reason)
            if error.kind in (ErrorKind.TRANSIENT, ErrorKind.THROTTLED):
                return await self._failed(subject, error)
            return await self._refused(subject, problem_of(error))
        crash_point(CrashPoint.TOKEN_RENEWED)
        return await self._settle(subject, self._sealed(subject, grant, fresh, lease))

    async def _ask(self, grant: RefreshGrant) -> FreshToken:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._google.refresh(grant)
        except TimeoutError:
            pass
        raise GoogleAPIError(ErrorKind.TRANSIENT, "timeout", "Google did not answer in time.")

    async def _settle(self, subject: Subject, new: NewToken) -> Renewed:
        """However long the store is away. A commit whose answer was lost is found by its version, as another's is."""
        while True:
            try:
                current = await self._database.write(end_refresh, subject.job_id, subject.version, new)
            except StoreUnavailableError:
                await self._clock.sleep(STORE_RETRY_SECONDS)
                continue
            if current is None:
                return Later(STORE_RETRY_SECONDS)
            log.info(Event.TOKEN_RENEWED, job_id=subject.job_id, credential_version=current.version)
            return current

    async def _failed(self, subject: Subject, error: GoogleAPIError) -> Renewed:
        """It may pass: asked again later, after each failure in a row a little later still. Without a token that lives,
        for `token_wait` seconds at most."""
        now = self._clock.monotonic()
        streak = self._streak(subject.job_id, now)
        asked = min(error.retry_after or 0.0, LONGEST_SECONDS)
        seconds = max(asked, self._policy.get_backoff_ms(streak.failures) * MILLISECOND)
        without = await self._put_off(subject, seconds)
        self._remember(subject.job_id, _Streak(streak.failures + 1, streak.since, now + seconds))
        if without is not None and min(without, now - streak.since) >= self._token_wait:
            detail = f"No access token for {without:,.0f} s: Google's token endpoint does not give one. {error.message}"
            return Problem("token_not_renewed", f"{detail} Send a new one to go on.", error.status)
        return Later(seconds, f"{NO_TOKEN_YET}; {error.message}")

    def _streak(self, job_id: str, now: float) -> _Streak:
        known = self._streaks.get(job_id)
        if known is None or now - known.over > max(STREAK_SECONDS, self._token_wait / 2):
            return _Streak(0, now, now)
        return known

    def _remember(self, job_id: str, streak: _Streak) -> None:
        self._streaks[job_id] = streak
        self._streaks.move_to_end(job_id)
        while len(self._streaks) > MOST_STREAKS:
            self._streaks.popitem(last=False)

    async def _refused(self, subject: Subject, problem: Problem) -> Renewed:
        """For good; but what lives of the present token is used up first."""
        without = await self._put_off(subject, None)
        return Later(self._token_wait) if without is None else problem

    async def _put_off(self, subject: Subject, seconds: float | None) -> float | None:
        try:
            return await self._database.write(put_off_refresh, subject.job_id, subject.version, seconds)
        except StoreUnavailableError:
            return None

    def _open(self, subject: Subject, sealed_grant: bytes) -> RefreshGrant:
        return RefreshGrant.from_text(self._sealer.open(subject.tenant, subject.job_id, sealed_grant, Purpose.GRANT))

    def _sealed(self, subject: Subject, grant: RefreshGrant, fresh: FreshToken, lease: RefreshLease) -> NewToken:
        """Both under the newest key. A refresh token that was replaced is forgotten."""
        where = (subject.tenant, subject.job_id)
        token = self._sealer.seal(*where, fresh.access_token)
        sealed_grant = self._sealer.seal(*where, grant.renewed(fresh.refresh_token).to_text(), Purpose.GRANT)
        ended = lease.sealed_grant if fresh.refresh_token else None
        return NewToken(token.key_id, token.data, sealed_grant.data, lease.since, fresh.expires_in, ended)
