"""The whole API against its own OpenAPI document, by schemathesis over real HTTP, on a store with jobs in every state.

Its checks: no 5xx, documented statuses, content types, headers and bodies; what fits the document is accepted, what
does not is refused; a method that a path does not have gets 405 and Allow; no key and a wrong key get 401. Stateful
too: from the answer of one operation to the next, along the document's links. (API8:2023, API9:2023.)
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from app.api.application import create_api
from app.models.access import DEFAULT_TENANT, Scope
from app.models.job import JobStatus
from app.store.keys import create_key
from app.store.sqlite import SqliteDatabase
from tests.browser.planting import plant
from tests.support.api import SEALING_KEYS
from tests.support.fuzzing import Fuzzed, Known, fuzz
from tests.support.jobs import in_state
from tests.support.service import JOBS, Service, eventually, site
from tests.support.simulator import simulator_process

WORLD = ("--accounts", "1", "--locations", "2", "--reviews", "6")
KEY = "a-key-that-may-do-everything"

SAME_CASES = ("--seed", "1")
"""Before a change lands the same cases as before it; others are for the night."""

CHANGING = ("pause_job", "resume_job", "cancel_job", "replace_token", "follow_job", "erase_job")
"""Operations that get jobs of their own, so that the others find the states that were planted."""

OPERATIONS = sum(len(operations) for operations in create_api(version="0").openapi()["paths"].values())


class World(NamedTuple):
    """A service with all roles, a key that may only read, and what exists there."""

    service: Service
    reader: str
    known: Known


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("api")
    settings = {"API_KEYS": KEY, "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "TOKEN_SEALING_KEYS": SEALING_KEYS}
    settings["FAILED_ATTEMPTS_PER_MINUTE"] = "0"  # or 429 would be all that is seen
    with simulator_process(*WORLD) as google, site(directory, google, **settings) as place:
        reader, *planted = plant(place.database, _reader_and_jobs).split()
        service = place.start()
        service.headers = {"X-API-Key": KEY}
        yield World(service, reader, _known(service, planted))


async def _reader_and_jobs(database: SqliteDatabase) -> str:
    """A key and the ids of jobs. The pending one comes last: the others are walked to where they stand."""
    _, reader = await database.write(create_key, DEFAULT_TENANT, "reader", [Scope.READ])
    states = sorted(JobStatus, key=lambda status: status is JobStatus.PENDING)
    return " ".join([reader, *[await in_state(database, status) for status in states]])


def _known(service: Service, planted: list[str]) -> Known:
    told = {"access_token": "ya29.a-token-that-tells", "callback_url": "http://127.0.0.1:9/hook?key=secret"}
    telling = str(service.request("POST", JOBS, told).json()["job_id"])
    message = eventually(
        lambda: next(iter(service.get(f"{JOBS}/{telling}/webhooks").json()["items"]), None), 30, "told"
    )
    spent = [service.submit(f"ya29.a-token-to-be-spent-{number}") for number in range(4)]
    letters = [letter["id"] for letter in service.get("/api/v1/dlq").json()["items"]]
    of_operations = {name: {"path.job_id": spent} for name in CHANGING} | {
        "resend_webhook": {"path.job_id": [telling], "path.webhook_id": [message["id"]]},
        "list_jobs": {"query.cursor": [service.get(JOBS, limit=2).json()["next_cursor"]]},
        "read_feed": {"query.after": [service.get("/api/v1/reviews/feed", limit=1).json()["next_cursor"]]},
    }
    jobs = [*planted, telling]
    return Known({"path.job_id": jobs, "query.job_id": jobs, "path.letter_id": letters}, of_operations)


def _assert_as_documented(run: Fuzzed) -> None:
    assert run.code == 0, run.output
    assert run.operations == OPERATIONS


@pytest.mark.timeout(400)  # a thousand cases take half a minute where nothing else runs
def test_every_answer_is_as_the_document_says(world: World) -> None:
    states = {job["status"] for job in world.service.jobs()}
    assert states >= set(JobStatus) - {JobStatus.PENDING, JobStatus.PROCESSING}
    run = fuzz(world.service, {"X-API-Key": KEY}, world.known, "--max-examples", "20", *SAME_CASES)
    _assert_as_documented(run)
    assert run.cases >= 1_000


@pytest.mark.parametrize("who", ["a reader", "a wrong key", "nobody"])
def test_so_is_every_answer_to_a_caller_who_may_not(world: World, who: str) -> None:
    keys = {"a reader": {"X-API-Key": world.reader}, "a wrong key": {"Authorization": "Bearer rf_wrong_key"}}
    options = ("--max-examples", "4", "--phases", "fuzzing", "--exclude-checks", "negative_data_rejection", *SAME_CASES)
    _assert_as_documented(fuzz(world.service, keys.get(who, {"X-API-Key": ""}), world.known, *options))


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_twenty_thousand_cases(world: World) -> None:
    run = fuzz(world.service, {"X-API-Key": KEY}, world.known, "--max-examples", "800")
    _assert_as_documented(run)
    assert run.cases >= 20_000
