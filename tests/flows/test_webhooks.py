"""The end of a job reaches its callback over real HTTP, signed, on both stacks."""

from ipaddress import ip_network

from pydantic import SecretStr

from app.api.schemas import ReviewFetchRequest
from app.config.groups import WebhookConfig
from app.models.access import DEFAULT_TENANT
from app.simulator import Catalogue, Faults
from tests.support.engine import TOKEN, Engine, running_engine
from tests.support.receiver import running_receiver
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=1, locations=2, reviews=60)
LOOPBACK = WebhookConfig(allowed_networks=(ip_network("127.0.0.0/8"),))


async def submit(engine: Engine, callback: str, token: str = TOKEN) -> str:
    request = ReviewFetchRequest(access_token=SecretStr(token), callback_url=SecretStr(callback))
    return (await engine.state.services.api_service.create_fetch_job(request)).job_id


async def test_a_completed_job_is_told_to_its_callback(stack: Stack) -> None:
    async with (
        running_simulator(WORLD, Faults()) as google,
        running_receiver() as receiver,
        running_engine(stack, google.url, webhook=LOOPBACK) as engine,
    ):
        job_id = await submit(engine, f"{receiver.url}/hooks?key=secret")
        got = await receiver.number(1)
        assert got.path == "/hooks?key=secret"
        (secret,) = engine.state.services.webhooks.secrets(DEFAULT_TENANT).secrets
        told = got.verified(secret)
        assert told["type"] == "review_fetch.completed"
        assert told["data"]["job_id"] == job_id
        assert told["data"]["status"] == "completed"
        assert told["data"]["progress"]["reviews"]["fetched"] == 120
