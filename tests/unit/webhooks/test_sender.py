"""The loop that sends: each message until it is delivered, whatever receivers, store and process do meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from app.credentials import KEY_BYTES, Purpose, SealingKey, TokenSealer
from app.models.webhooks import WebhookStatus, WebhookView
from app.store import control
from app.store.database import Database, StoreUnavailableError
from app.store.submit import Callback, NewJob, submit
from app.store.webhooks import anything_due, list_webhooks, note_attempt, resend
from app.telemetry.metrics import Metrics
from app.webhooks.attempts import BACKOFF_SECONDS
from app.webhooks.client import Answer, CallbackClient, DeliveryError
from app.webhooks.sender import AT_ONCE_TO_A_HOST, FAULT, IDLE_SECONDS, LEASE_SECONDS, MOST_OF_A_HOST, WebhookSender
from app.webhooks.signing import WebhookSigner
from tests.support.clock import ManualClock
from tests.support.store import sqlite_database

KEY = SealingKey("key-1", b"k" * KEY_BYTES)
SEALER = TokenSealer([KEY])
URL = "https://example.com/hook?key=nobody-may-read-this"


@dataclass
class Sent:
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receivers(CallbackClient):
    """Stands for every receiver: `answers` by host, the last again and again; an Event is waited for first."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def post(self, url: str, headers: Any, body: bytes) -> Answer:
        self.sent.append(Sent(url, dict(headers), body))
        self.arrived.set()
        left = self.answers.get(url.split("/")[2], [204])
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            answer = 204
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, None)


@dataclass
class Site:
    """A store with a clock of its own, and a sender that works on it."""

    database: Database
    clock: ManualClock
    receivers: Receivers
    metrics: Metrics
    leads: bool = True
    jobs: int = 0

    def sender(self, sealer: TokenSealer = SEALER) -> WebhookSender:
        return WebhookSender(
            self.database,
            self.receivers,
            sealer=sealer,
            signer=WebhookSigner([KEY]),
            metrics=self.metrics,
            clock=self.clock,
            leading=lambda: self.leads,
            random=lambda: 0.0,
        )

    async def cancelled_job(self, url: str = URL) -> str:
        """A job whose end is to be told; its id."""
        self.jobs += 1
        job_id = f"job-{self.jobs}"
        sealed = SEALER.seal("default", job_id, url, Purpose.CALLBACK)
        callback = Callback(sealed.key_id, sealed.data, url.partition("?")[0])
        await self.database.write(submit, [NewJob(job_id, "default", "key-1", b"sealed", callback=callback)])
        await self.database.write(control.cancel, "default", job_id)
        return job_id

    async def shown(self, job_id: str) -> WebhookView:
        (webhook,) = (await self.database.read(list_webhooks, "default", job_id)).items
        return webhook

    async def until(self, job_id: str, status: WebhookStatus, attempts: int = 1) -> WebhookView:
        """As soon as it is so; while it is not, a little time passes, and only when nothing is being written: on a slow
        disk a lease would run out during the commits before its request."""
        async with asyncio.timeout(20):
            while True:
                webhook = await self.shown(job_id)
                if webhook.status is status and webhook.attempts >= attempts:
                    return webhook
                await self._let_a_little_time_pass()

    async def sends(self, count: int) -> None:
        """So many requests were begun."""
        async with asyncio.timeout(20):
            while len(self.receivers.sent) < count:
                await self._let_a_little_time_pass()

    async def _let_a_little_time_pass(self) -> None:
        await self.database.write(lambda _transaction: None)  # behind whatever was to be written
        await self.clock.advance(IDLE_SECONDS)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    clock = ManualClock()
    async with sqlite_database(tmp_path, clock) as database:
        yield Site(database, clock, Receivers(), Metrics(clock))


@asynccontextmanager
async def running(sender: WebhookSender) -> AsyncIterator[None]:
    loop = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def test_a_message_is_sent_until_it_is_delivered_under_one_id_and_signed_anew(site: Site) -> None:
    site.receivers.answers["example.com"] = [503, DeliveryError("No connection to the receiver."), 204]
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        first = await site.until(job_id, WebhookStatus.WAITING)
        assert (first.answered, first.last_error) == (503, "The receiver answered 503. Only 2xx counts as delivered.")
        second = await site.until(job_id, WebhookStatus.WAITING, attempts=2)
        assert (second.answered, second.last_error) == (None, "No connection to the receiver.")
        done = await site.until(job_id, WebhookStatus.DELIVERED)
    assert (done.attempts, done.answered, done.last_error) == (3, 204, None)
    assert {sent.message_id for sent in site.receivers.sent} == {done.message_id}
    assert {(sent.url, sent.body) for sent in site.receivers.sent} == {(URL, site.receivers.sent[0].body)}
    times = [int(sent.headers["webhook-timestamp"]) for sent in site.receivers.sent]
    waits = [after - before for before, after in pairwise(times)]
    assert all(wait >= least - 1 for wait, least in zip(waits, BACKOFF_SECONDS, strict=False))
    assert len({sent.headers["webhook-signature"] for sent in site.receivers.sent}) == 3


async def test_a_receiver_that_never_takes_it_is_given_up_after_a_day(site: Site) -> None:
    site.receivers.answers["example.com"] = [500]
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        for attempt, wait in enumerate(BACKOFF_SECONDS, 1):
            await site.until(job_id, WebhookStatus.WAITING, attempt)
            site.clock.skip(wait - 2 * IDLE_SECONDS)
        failed = await site.until(job_id, WebhookStatus.FAILED, attempts=9)
        await site.clock.advance(30.0)
        assert len(site.receivers.sent) == failed.attempts == 9
        site.receivers.answers["example.com"] = [204]
        await site.database.write(resend, "default", job_id, failed.id)
        again = await site.until(job_id, WebhookStatus.DELIVERED)
    assert (again.message_id, again.attempts) == (failed.message_id, 1)


async def test_a_receiver_that_is_gone_is_told_no_more(site: Site) -> None:
    site.receivers.answers["example.com"] = [410]
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        await site.until(job_id, WebhookStatus.FAILED)
    assert len(site.receivers.sent) == 1


async def test_a_slow_receiver_holds_up_nobody_else(site: Site) -> None:
    held = asyncio.Event()
    site.receivers.answers["slow.example"] = [held]
    slow = [await site.cancelled_job("https://slow.example/") for _ in range(3 * MOST_OF_A_HOST)]
    quick = await site.cancelled_job()
    async with running(site.sender()):
        await site.until(quick, WebhookStatus.DELIVERED)
        await site.sends(AT_ONCE_TO_A_HOST + 1)
        sent = [sent for sent in site.receivers.sent if "slow" in sent.url]
        assert len(sent) == AT_ONCE_TO_A_HOST
        held.set()
        for job_id in slow:
            await site.until(job_id, WebhookStatus.DELIVERED)
    ids = [sent.message_id for sent in site.receivers.sent]
    assert len(ids) == len(set(ids)) == 3 * MOST_OF_A_HOST + 1


async def test_a_message_whose_turn_comes_too_late_is_given_back_unsent(site: Site) -> None:
    """Another may have taken it by then."""
    held = asyncio.Event()
    site.receivers.answers["slow.example"] = [held]
    for _ in range(AT_ONCE_TO_A_HOST + 1):
        last = await site.cancelled_job("https://slow.example/")
    async with running(site.sender()):
        await site.sends(AT_ONCE_TO_A_HOST)
        site.clock.skip(LEASE_SECONDS - IDLE_SECONDS)
        held.set()
        done = await site.until(last, WebhookStatus.DELIVERED)
    ids = [sent.message_id for sent in site.receivers.sent]
    assert ids.count(done.message_id) == 1
    assert done.attempts == 1


async def test_a_stop_gives_back_what_is_under_way(site: Site) -> None:
    site.receivers.answers["example.com"] = [asyncio.Event(), 204]
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        await site.sends(1)
    assert (await site.shown(job_id)).attempts == 0
    assert await site.database.read(anything_due)
    async with running(site.sender()):
        done = await site.until(job_id, WebhookStatus.DELIVERED)
    assert [sent.message_id for sent in site.receivers.sent] == [done.message_id] * 2


async def test_a_process_that_died_with_a_message_in_hand_is_followed_when_its_lease_ends(site: Site) -> None:
    never = asyncio.Event()
    site.receivers.answers["example.com"] = [never, 204]
    job_id = await site.cancelled_job()
    dead = asyncio.create_task(site.sender().run())  # as dead as a frozen one: it does nothing any more
    await site.sends(1)
    async with running(site.sender()):
        done = await site.until(job_id, WebhookStatus.DELIVERED)
        assert done.attempts == 1
        never.set()
        await site.clock.advance(2 * IDLE_SECONDS)
        assert await site.shown(job_id) == done
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
    assert [sent.message_id for sent in site.receivers.sent] == [done.message_id] * 2


async def test_a_store_that_is_away_after_the_send_makes_it_twice_under_one_id(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await site.cancelled_job()
    away = [True]
    write = site.database.write

    async def failing(work: Any, *arguments: Any) -> Any:
        if work is note_attempt and away:
            away.pop()
            raise StoreUnavailableError("away")
        return await write(work, *arguments)

    monkeypatch.setattr(site.database, "write", failing)
    async with running(site.sender()):
        done = await site.until(job_id, WebhookStatus.DELIVERED)
    assert [sent.message_id for sent in site.receivers.sent] == [done.message_id] * 2


async def test_a_store_that_is_away_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await site.cancelled_job()
    read = site.database.read
    away = [True, True]

    async def failing(work: Any, *arguments: Any) -> Any:
        if work.__name__ == "anything_due" and away:
            away.pop()
            raise StoreUnavailableError("away")
        return await read(work, *arguments)

    monkeypatch.setattr(site.database, "read", failing)
    async with running(site.sender()):
        await site.until(job_id, WebhookStatus.DELIVERED)
    assert away == []


async def test_only_who_leads_sends(site: Site) -> None:
    site.leads = False
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        await site.clock.advance(10 * IDLE_SECONDS)
        assert site.receivers.sent == []
        site.leads = True
        await site.until(job_id, WebhookStatus.DELIVERED)


async def test_a_url_that_does_not_open_is_a_failed_attempt_with_its_reason(site: Site) -> None:
    job_id = await site.cancelled_job()
    other = TokenSealer([SealingKey("key-2", b"o" * KEY_BYTES)])
    async with running(site.sender(other)):
        shown = await site.until(job_id, WebhookStatus.WAITING)
    assert "TOKEN_SEALING_KEYS" in (shown.last_error or "")
    assert site.receivers.sent == []


async def test_a_fault_of_ours_neither_ends_the_loop_nor_is_tried_for_ever(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.receivers.answers["broken.example"] = [ZeroDivisionError(URL), 204]
    broken = await site.cancelled_job("https://broken.example/")
    job_id = await site.cancelled_job()
    async with running(site.sender()):
        assert (await site.until(broken, WebhookStatus.WAITING)).last_error == FAULT
        await site.until(job_id, WebhookStatus.DELIVERED)
        await site.until(broken, WebhookStatus.DELIVERED)
    assert "nobody-may-read-this" not in caplog.text


async def test_attempts_and_ends_are_counted(site: Site) -> None:
    site.receivers.answers["example.com"] = [500, DeliveryError("away"), 410]
    lost, done = await site.cancelled_job(), await site.cancelled_job("https://other.example/")
    async with running(site.sender()):
        await site.until(done, WebhookStatus.DELIVERED)
        await site.until(lost, WebhookStatus.FAILED)
    page = site.metrics.render().decode()
    for line in (
        'review_fetcher_webhook_attempts_total{outcome="5xx"} 1.0',
        'review_fetcher_webhook_attempts_total{outcome="no_answer"} 1.0',
        'review_fetcher_webhook_attempts_total{outcome="4xx"} 1.0',
        'review_fetcher_webhook_attempts_total{outcome="2xx"} 1.0',
        'review_fetcher_webhooks_total{status="delivered"} 1.0',
        'review_fetcher_webhooks_total{status="failed"} 1.0',
    ):
        assert line in page
