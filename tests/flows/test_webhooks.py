"""The end of a job reaches its callback over real HTTP, signed, on both stacks; and what receivers do about it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest
from local_services.process import free_ports
from pydantic import SecretStr

from app.api.schemas import ReviewFetchRequest
from app.config.groups import WebhookConfig
from app.models.access import DEFAULT_TENANT
from app.models.job import JobStatus
from app.models.webhooks import WebhookList, WebhookStatus, WebhookView
from app.simulator import Catalogue, Faults, Simulator
from app.simulator.faults import ExpiredToken, Failure, Hold
from tests.support.engine import LOOK_SECONDS, PATIENCE_SECONDS, TOKEN, Engine, running_engine
from tests.support.receiver import Got, Receiver, running_receiver, statuses
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=1, locations=2, reviews=60)
LOOPBACK = WebhookConfig(allowed_networks=(ip_network("127.0.0.0/8"),))


@dataclass
class Telling:
    """A service, the simulated Google that it asks, and one receiver."""

    engine: Engine
    google: Simulator
    receiver: Receiver

    async def submit(self, callback: str = "") -> str:
        """The id of a job whose end is told to the receiver, unless another `callback` is named."""
        url = callback or f"{self.receiver.url}/hooks?key=secret"
        request = ReviewFetchRequest(access_token=SecretStr(TOKEN), callback_url=SecretStr(url))
        return (await self.engine.state.services.api_service.create_fetch_job(request)).job_id

    async def shown(self, job_id: str) -> WebhookList:
        return await self.engine.state.services.webhooks.of_job(DEFAULT_TENANT, job_id)

    async def resend(self, job_id: str, webhook_id: int) -> None:
        await self.engine.state.services.webhooks.resend(DEFAULT_TENANT, job_id, webhook_id)

    async def until(self, job_id: str, holds: Callable[[WebhookView], bool]) -> WebhookView:
        """The newest message about the job as soon as this holds for it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                items = (await self.shown(job_id)).items
                if items and holds(items[0]):
                    return items[0]
                await self.engine.state.clock.sleep(LOOK_SECONDS)

    async def delivered(self, job_id: str) -> WebhookView:
        return await self.until(job_id, lambda item: item.status is WebhookStatus.DELIVERED)

    async def attempted(self, job_id: str) -> WebhookView:
        return await self.until(job_id, lambda item: item.attempts > 0)

    async def read(self, got: Got) -> dict[str, Any]:
        """What the receiver reads, after it has verified the signature."""
        (secret,) = (await self.engine.state.services.webhooks.secrets(DEFAULT_TENANT)).secrets
        return dict(got.verified(secret))


@asynccontextmanager
async def telling(
    stack: Stack, faults: Faults | None = None, webhook: WebhookConfig = LOOPBACK
) -> AsyncIterator[Telling]:
    async with (
        running_simulator(WORLD, faults or Faults()) as google,
        running_receiver() as receiver,
        running_engine(stack, google.url, webhook=webhook) as engine,
    ):
        yield Telling(engine, google, receiver)


async def test_a_completed_job_is_told_to_its_callback(stack: Stack) -> None:
    async with telling(stack) as site:
        job_id = await site.submit()
        got = await site.receiver.number(1)
        assert got.path == "/hooks?key=secret"
        told = await site.read(got)
        assert (told["type"], told["data"]["job_id"]) == ("review_fetch.completed", job_id)
        assert told["data"]["status"] == "completed"
        assert told["data"]["progress"]["reviews"]["fetched"] == 120
        done = await site.delivered(job_id)
        assert (done.message_id, done.answered, done.attempts) == (got.headers["webhook-id"], 204, 1)
        assert (await site.shown(job_id)).callback_url == f"{site.receiver.url}/hooks"
        assert len(site.receiver.got) == 1


async def test_a_want_of_a_token_and_then_the_end_are_two_messages(stack: Stack) -> None:
    async with telling(stack, Faults(rules=(ExpiredToken(api="reviews", after=1, times=1),))) as site:
        job_id = await site.submit()
        first = await site.read(await site.receiver.number(1))
        assert first["type"] == "review_fetch.needs_token"
        assert first["data"]["error"]["type"] == "token_expired"
        await site.engine.replace_token(job_id, f"{TOKEN}-new")
        second = await site.read(await site.receiver.number(2))
        assert (second["type"], second["data"]["job_id"]) == ("review_fetch.completed", job_id)
        assert len({got.headers["webhook-id"] for got in site.receiver.got}) == 2


async def test_dead_letters_and_the_end_after_their_redrive_are_two_messages(stack: Stack) -> None:
    async with telling(stack, Faults(rules=(Failure(status=503, api="reviews"),))) as site:
        await site.submit()
        assert (await site.read(await site.receiver.number(1)))["type"] == "review_fetch.dlq"
        site.google.clear_faults()
        await site.engine.redrive_all()
        assert (await site.read(await site.receiver.number(2)))["type"] == "review_fetch.completed"


async def test_a_cancelled_job_is_told(stack: Stack) -> None:
    async with telling(stack, Faults(rules=(Hold(api="accounts"),))) as site:
        job_id = await site.submit()
        await site.engine.state.services.job_control.cancel(DEFAULT_TENANT, job_id)
        told = await site.read(await site.receiver.number(1))
        assert (told["type"], told["data"]["status"]) == ("review_fetch.cancelled", JobStatus.CANCELLED)
        site.google.release()


async def test_what_failed_is_sent_again_by_hand_under_the_same_id(stack: Stack) -> None:
    async with telling(stack) as site:
        site.receiver.answer = statuses(500, 204)
        job_id = await site.submit()
        failed = await site.attempted(job_id)
        assert (failed.status, failed.answered) == (WebhookStatus.WAITING, 500)
        assert failed.next_attempt_at is not None
        await site.resend(job_id, failed.id)
        done = await site.delivered(job_id)
        await site.resend(job_id, done.id)
        again = await site.receiver.number(3)
        assert {got.headers["webhook-id"] for got in site.receiver.got} == {failed.message_id}
        assert {got.body for got in site.receiver.got} == {again.body}
        assert (await site.read(again))["type"] == "review_fetch.completed"


async def test_a_receiver_that_is_down_is_told_when_it_is_back(stack: Stack) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with telling(stack) as site:
        job_id = await site.submit(f"{url}/?key=secret")
        failed = await site.attempted(job_id)
        assert (failed.status, failed.answered) == (WebhookStatus.WAITING, None)
        assert "No connection to the receiver" in (failed.last_error or "")
        async with running_receiver(port=port) as back:
            await site.until(job_id, lambda item: item.status is WebhookStatus.DELIVERED)
            assert (await back.number(1)).headers["webhook-id"] == failed.message_id


@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_is_told_and_not_followed(stack: Stack, status: int) -> None:
    async with telling(stack) as site, running_receiver() as canary:
        site.receiver.answer = statuses(status, Location=f"{canary.url}/taken")
        failed = await site.attempted(await site.submit())
        assert (failed.status, failed.answered) == (WebhookStatus.WAITING, status)
        assert "Redirects are not followed" in (failed.last_error or "")
        assert canary.got == []


async def test_a_receiver_that_is_gone_gets_no_more(stack: Stack) -> None:
    async with telling(stack) as site:
        site.receiver.answer = statuses(410)
        failed = await site.until(await site.submit(), lambda item: item.status is WebhookStatus.FAILED)
        assert (failed.answered, failed.next_attempt_at) == (410, None)


async def test_a_slow_receiver_holds_up_no_other(stack: Stack) -> None:
    async with telling(stack) as site, running_receiver() as quick:
        site.receiver.held = asyncio.Event()
        slow = [await site.submit() for _ in range(6)]
        await site.receiver.number(1)
        await site.delivered(await site.submit(quick.url))
        site.receiver.held.set()
        for job_id in slow:
            await site.delivered(job_id)


async def test_nothing_on_this_machine_or_network_is_called_unless_an_operator_says_so(stack: Stack) -> None:
    async with telling(stack, webhook=WebhookConfig()) as site:
        for callback in (f"{site.receiver.url}/?key=secret", site.receiver.url.replace("http:", "https:")):
            failed = await site.attempted(await site.submit(callback))
            assert "WEBHOOK_ALLOWED_NETWORKS" in (failed.last_error or "")
        assert site.receiver.got == []
