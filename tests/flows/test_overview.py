"""All work at a glance, over HTTP and on both stacks: what is shown is what was done, and only to whom it belongs."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.config import Settings, load_settings, variables
from tests.flows.test_replicas import google_calls
from tests.support.replicas import published
from tests.support.service import JOBS, ROOT, Service, Site, eventually, site, upstream
from tests.support.simulator import control, simulator_process
from tests.support.stack import SEALING_KEY, Stack

TOKEN = "ya29.token-of-an-overview"
KEY = "the-key-of-an-overviews-operator"
WORLD = ("--accounts", "2", "--locations", "5", "--reviews", "120")
QUIET = {"reviews": 0, "calls": 0, "throttled": 0}
SECRETS = {
    "API_KEYS": KEY,
    "TOKEN_SEALING_KEYS": SEALING_KEY,
    "KAFKA_SASL_PASSWORD": "unforgettable-sasl-password",
    "KAFKA_SSL_KEY_PASSWORD": "unforgettable-key-password",
}

WRITTEN_WITHIN_SECONDS = 15.0


@contextmanager
def running(stack: Stack, google: str, **settings: str) -> Iterator[tuple[Site, Service]]:
    """A service of the stack, called with a key that may do everything."""
    with site(stack.directory, google, **(stack.environment | {"API_KEYS": KEY} | settings)) as place:
        yield place, restarted(place)


def restarted(place: Site) -> Service:
    service = place.start()
    service.headers["X-API-Key"] = KEY
    return service


def key_of(place: Site, tenant: str, *scopes: str) -> str:
    wanted = [word for scope in scopes for word in ("--scope", scope)]
    command = [sys.executable, "-m", "app.cli", "keys", "create", "test", "--tenant", tenant, *wanted]
    environment = {"PYTHONPATH": str(ROOT)} | place.settings
    made = subprocess.run(command, cwd=place.directory, env=environment, capture_output=True, check=True, text=True)
    return made.stdout.strip()


def overview(service: Service) -> dict[str, Any]:
    answer = service.get("/api/v1/overview")
    assert answer.status == 200, answer
    return dict(answer.json())


def activity(service: Service) -> Counter[str]:
    """What the last hour comes to. The test takes less than that."""
    minutes = overview(service)["activity"]
    return Counter({name: sum(minute[name] for minute in minutes) for name in QUIET})


async def test_what_a_job_did_is_shown_to_its_tenant_and_to_no_other(stack: Stack) -> None:
    def look() -> None:
        with simulator_process(*WORLD) as google, running(stack, google) as (place, service):
            job = service.job_ended(service.submit(TOKEN))
            assert job["status"] == "completed", job
            done = Counter(reviews=len(upstream(google, TOKEN)), calls=google_calls(service), throttled=0)
            eventually(lambda: activity(service) == done, WRITTEN_WITHIN_SECONDS, f"activity of {done}")
            found = overview(service)
            assert {state: count for state, count in found["jobs"].items() if count} == {"completed": 1}
            assert (found["oldest_waiting"], found["waiting_jobs"], found["needs_token"]) == (None, [], [])
            if stack.kafka is not None:
                eventually(lambda: published(stack), 30, "an empty outbox")
                assert overview(service)["unpublished"] == {"reviews": 0, "seconds": 0.0}
            else:
                assert found["unpublished"] is None
            assert_accounts_add_up(service, job)
            service.headers["X-API-Key"] = key_of(place, "other", "read")
            theirs = overview(service)
            assert set(theirs["jobs"].values()) == {0}
            assert activity(service) == QUIET
            assert service.get(f"{JOBS}/{job['job_id']}/accounts").status == 404

    await asyncio.to_thread(look)


def assert_accounts_add_up(service: Service, job: dict[str, Any]) -> None:
    """Page by page they come to the job's own numbers."""
    accounts: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = service.get(f"{JOBS}/{job['job_id']}/accounts", limit=1, **cursor).json()
        accounts += page["accounts"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    progress = job["progress"]
    assert len(accounts) == progress["accounts"]["found"] == 2
    assert {account["state"] for account in accounts} == {"done"}
    for name in ("found", "done", "unavailable"):
        assert sum(account["locations"][name] for account in accounts) == progress["locations"][name]
    for name in ("fetched", "expected"):
        assert sum(account["reviews"][name] for account in accounts) == progress["reviews"][name]


async def test_an_orderly_stop_keeps_what_was_done_just_before(stack: Stack) -> None:
    def look() -> None:
        with simulator_process(*WORLD) as google, running(stack, google) as (place, service):
            control(google, "POST", "faults", {"fault": "rate_limited", "api": "reviews", "after": 5, "times": 1})
            job = service.job_ended(service.submit(TOKEN))
            assert job["status"] == "completed", job
            calls = google_calls(service)
            service.terminate()
            done = Counter(reviews=job["progress"]["reviews"]["fetched"], calls=calls, throttled=1)
            assert activity(restarted(place)) == done

    await asyncio.to_thread(look)


async def test_work_that_waits_and_a_job_without_a_token_are_shown_while_it_lasts(stack: Stack) -> None:
    def look() -> None:
        with simulator_process(*WORLD) as google, running(stack, google, WORKER_CONCURRENCY="1") as (_, service):
            control(google, "PUT", "faults", {"rules": [{"fault": "hold", "api": "reviews"}]})
            job_id = service.submit(TOKEN)
            waits = eventually(lambda: waiting_reviews(service), 30, "reviews that wait for a worker")
            assert waits["job_id"] == job_id
            assert overview(service)["jobs"]["processing"] == 1
            expired = {"fault": "expired_token", "api": "reviews"}
            control(google, "PUT", "faults", {"rules": [expired]})
            control(google, "POST", "release")
            eventually(lambda: service.job(job_id)["status"] == "needs_token", 30, "the refusal of the token")
            found = overview(service)
            assert [(job["job_id"], job["error"]["type"]) for job in found["needs_token"]] == [
                (job_id, service.job(job_id)["error"]["type"])
            ]
            assert found["oldest_waiting"] is None, "nobody can work on it without a token"
            service.request("POST", f"{JOBS}/{job_id}/cancel")

    await asyncio.to_thread(look)


def waiting_reviews(service: Service) -> dict[str, Any] | None:
    found: dict[str, Any] | None = overview(service)["oldest_waiting"]
    return found if found and found["stage"] == "reviews" else None


async def test_settings_are_told_to_an_administrator_without_any_secret(stack: Stack) -> None:
    def look() -> None:
        with running(stack, "http://127.0.0.1:9", **SECRETS) as (place, service):
            answer = service.get("/api/v1/settings")
            assert answer.status == 200, answer
            found = {setting["name"]: setting for setting in answer.json()["settings"]}
            assert list(found) == [variable.name for variable in variables(Settings)]
            for name, secret in SECRETS.items():
                assert (found[name]["value"], found[name]["secret"]) == ("set", True)
                assert secret.rpartition(":")[2].encode() not in answer.body
            where = load_settings(_env_file=None, database_url=place.settings["DATABASE_URL"]).database
            assert found["DATABASE_URL"]["value"] == str(where)
            service.headers["X-API-Key"] = key_of(place, "default", "submit", "read", "operate")
            assert service.get("/api/v1/settings").status == 403

    await asyncio.to_thread(look)
