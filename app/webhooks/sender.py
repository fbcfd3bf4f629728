"""The loop that sends what is due. A message is in one replica's hands at a time, and is sent at least once.

Taken messages are due again when their lease ends: nothing is lost with a process, a store that is away, or a stop. A
receiver may get one twice, under the same `webhook-id`.
"""

import asyncio
import random as system_random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import structlog

from app.clock import Clock, first_done
from app.crash import CrashPoint, crash_point
from app.credentials import Purpose, SealedTokenError, TokenSealer
from app.models.webhooks import WebhookAttempt, WebhookStatus
from app.store.database import Database, StoreUnavailableError
from app.store.webhooks import DueWebhook, anything_due, give_back, note_attempt, take_webhooks
from app.telemetry.events import Event
from app.telemetry.logging import job_context
from app.telemetry.metrics import Metrics
from app.webhooks.attempts import answered, unanswered
from app.webhooks.client import DEADLINE_SECONDS, CallbackClient, DeliveryError
from app.webhooks.signing import WebhookSigner

IDLE_SECONDS = 1.0
"""Between two looks at the store while nothing is due: the longest that a message waits."""

MOST_IN_HAND = 128
MOST_OF_A_HOST = 32
AT_ONCE_TO_A_HOST = 4
"""One slow receiver has so many of the places and no more; of these the rest wait for their turn."""

LEASE_SECONDS = 30.0
LATEST_SECONDS = LEASE_SECONDS - DEADLINE_SECONDS - 5.0
"""A message whose turn comes later than that is given back: another replica may have it before it is sent."""

SURPLUS_SECONDS = 5.0
"""What a host has no place for is due again then, behind what others wait for."""

GIVE_BACK_SECONDS = 1.0
"""At a stop; the lease ends anyway."""

FAULT = "This attempt failed by a fault of the service; its log has the details."

log = structlog.get_logger(__name__)


class WebhookSender:
    """`leading`: whether it is this process's turn. `random` returns a number in [0, 1)."""

    def __init__(
        self,
        database: Database,
        client: CallbackClient,
        *,
        sealer: TokenSealer,
        signer: WebhookSigner,
        metrics: Metrics,
        clock: Clock,
        leading: Callable[[], bool] = lambda: True,
        random: Callable[[], float] = system_random.random,
    ) -> None:
        self._database = database
        self._client = client
        self._sealer = sealer
        self._signer = signer
        self._metrics = metrics
        self._clock = clock
        self._leading = leading
        self._random = random
        self._in_hand: dict[asyncio.Task[None], DueWebhook] = {}
        self._of_host: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with self._client:
            try:
                while True:
                    more = self._leading() and await self._take()
                    if not more:
                        await first_done(self._clock, IDLE_SECONDS, self._in_hand)
            finally:
                await self._let_go()

    async def _take(self) -> bool:
        """Start what is due and has a place. Whether there may be more of it at once."""
        room = MOST_IN_HAND - len(self._in_hand)
        if not room:
            return False
        latest = self._clock.monotonic() + LATEST_SECONDS
        try:
            if not await self._database.read(anything_due):
                return False
            taken = await self._database.write(take_webhooks, room, LEASE_SECONDS)
            surplus = [due for due in taken if not self._start(due, latest)]
            if surplus:
                await self._database.write(give_back, [(due.id, due.version) for due in surplus], SURPLUS_SECONDS)
        except StoreUnavailableError as error:
            log.warning(Event.WEBHOOKS_STORE_AWAY, cause=str(error))
            return False
        return len(taken) == room

    def _start(self, due: DueWebhook, latest: float) -> bool:
        """False: its host has as many as it may have."""
        url, problem = self._opened(due)
        host = _host(url)
        if self._of_host[host] >= MOST_OF_A_HOST:
            return False
        self._of_host[host] += 1
        turns = self._turns.setdefault(host, asyncio.Semaphore(AT_ONCE_TO_A_HOST))
        task = asyncio.create_task(self._deliver(due, url, problem, turns, latest), name="webhook")
        self._in_hand[task] = due
        task.add_done_callback(lambda done: self._ended(done, host))
        return True

    def _ended(self, task: asyncio.Task[None], host: str) -> None:
        del self._in_hand[task]
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host], self._turns[host]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(Event.WEBHOOK_NOT_NOTED, cause=type(error).__name__, exc_info=error)

    def _opened(self, due: DueWebhook) -> tuple[str, str]:
        """The URL, or else why there is none."""
        try:
            return self._sealer.open(due.tenant, due.job_id, due.sealed_url, Purpose.CALLBACK), ""
        except SealedTokenError:
            return "", "The callback's URL does not open: put the sealing key of its job back into TOKEN_SEALING_KEYS."

    async def _deliver(self, due: DueWebhook, url: str, problem: str, turns: asyncio.Semaphore, latest: float) -> None:
        with job_context(due.job_id):
            async with turns:
                if self._clock.monotonic() > latest:
                    await self._give_back([due])
                    return
                attempt = await self._attempt(due, url, problem)
            crash_point(CrashPoint.WEBHOOK_SENT)
            self._tell(due, attempt)
            try:
                await self._database.write(note_attempt, due.id, due.version, attempt)
            except StoreUnavailableError as error:
                log.warning(Event.WEBHOOK_NOT_NOTED, message_id=due.message_id, cause=str(error))

    async def _attempt(self, due: DueWebhook, url: str, problem: str) -> WebhookAttempt:
        if problem:
            return unanswered(problem, due.attempts, self._random)
        now = self._clock.now()
        headers = self._signer.headers(due.tenant, due.message_id, due.body, now)
        try:
            answer = await self._client.post(url, headers, due.body)
        except DeliveryError as error:
            return unanswered(str(error), due.attempts, self._random)
        except Exception as error:  # one message must neither be tried for ever nor end the others
            log.error(Event.WEBHOOK_FAULT, message_id=due.message_id, cause=type(error).__name__)
            return unanswered(FAULT, due.attempts, self._random)
        return answered(answer, due.attempts, now, self._random)

    def _tell(self, due: DueWebhook, attempt: WebhookAttempt) -> None:
        self._metrics.webhook_attempted("no_answer" if attempt.answered is None else f"{attempt.answered // 100}xx")
        if attempt.status is not WebhookStatus.WAITING:
            self._metrics.webhook_ended(attempt.status)
        fields = {"message_id": due.message_id, "answered": attempt.answered, "attempts": due.attempts + 1}
        if attempt.status is WebhookStatus.DELIVERED:
            log.info(Event.WEBHOOK_DELIVERED, **fields)
        elif attempt.status is WebhookStatus.FAILED:
            log.warning(Event.WEBHOOK_FAILED, **fields, cause=attempt.error)
        else:
            log.info(Event.WEBHOOK_RETRIED, **fields, cause=attempt.error)

    async def _let_go(self) -> None:
        """What is under way is broken off, and sent again by whoever comes next."""
        broken_off = list(self._in_hand.values())
        tasks = list(self._in_hand)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._give_back(broken_off)

    async def _give_back(self, messages: list[DueWebhook]) -> None:
        if not messages:
            return
        with suppress(StoreUnavailableError):
            await self._database.write(give_back, [(due.id, due.version) for due in messages], 0.0)


def _host(url: str) -> str:
    """Host and port, for counting."""
    return urlsplit(url).netloc.lower()
