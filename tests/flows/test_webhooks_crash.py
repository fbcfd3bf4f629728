"""A real process, killed between sending a message and writing that it was sent."""

import asyncio

from sqlalchemy import update

from app.cli.local import database_of
from app.config import Settings
from app.crash import CrashPoint
from app.store.database import Transaction
from app.store.schema import webhooks
from tests.support.receiver import Receiver, running_receiver
from tests.support.service import JOBS, Service, eventually, site
from tests.support.simulator import simulator_process
from tests.support.stack import Stack

TOKEN = "ya29.sim-accounts1-locations1-reviews10"


async def test_what_was_sent_and_not_written_is_sent_again_under_the_same_id(stack: Stack) -> None:
    async with running_receiver() as receiver:
        await asyncio.to_thread(_die_and_go_on, stack, receiver)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def _die_and_go_on(stack: Stack, receiver: Receiver) -> None:
    settings = stack.environment | {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with simulator_process() as google, site(stack.directory, google, **settings) as place:
        dying = place.start(CRASH_AT=f"{CrashPoint.WEBHOOK_SENT}:1")
        job_id = _submit(dying, receiver.url)
        dying.killed_itself()
        asyncio.run(_leases_end(stack))
        service = place.start()
        item = eventually(lambda: _delivered(service, job_id), 30, "the message, delivered")
        assert item["attempts"] == 1
        service.terminate()


def _submit(service: Service, callback: str) -> str:
    answer = service.request("POST", JOBS, {"access_token": TOKEN, "callback_url": f"{callback}/hook"})
    assert answer.status == 202, answer
    return str(answer.json()["job_id"])


def _delivered(service: Service, job_id: str) -> dict[str, object] | None:
    items = service.get(f"{JOBS}/{job_id}/webhooks").json()["items"]
    return items[0] if items and items[0]["status"] == "delivered" else None


async def _leases_end(stack: Stack) -> None:
    """Whatever was in hand has been so for long."""

    def over(transaction: Transaction) -> int:
        return transaction.connection.execute(update(webhooks).values(due_at=transaction.now - 1.0)).rowcount

    database = database_of(Settings(**stack.settings), exclusive=False)
    await database.start()
    try:
        assert await database.write(over) == 1
    finally:
        await database.close()
