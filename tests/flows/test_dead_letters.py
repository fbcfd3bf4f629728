"""The dead-letter desk over HTTP, on both stacks: what was given up is tried again as asked, and judged by Google."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.service import Service, Site, eventually, ledger, site, upstream
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

TOKEN = "ya29.token-of-dead-letters"
DLQ = "/api/v1/dlq"

LETTERS = 10
WORLD = ("--accounts", "1", "--locations", str(LETTERS), "--reviews", "60")
"""Each location has two pages."""

SECOND_PAGES_FAIL = {"fault": "failure", "api": "reviews", "paged": True, "status": 503}
REFUSED = {"fault": "forbidden", "api": "reviews"}

RATE = 2.0
KILLED_AFTER = 3

CLOCK_SECONDS = 0.05
"""Letters become due by the store's clock and are judged by another one; within a test they differ by less."""


@contextmanager
def running(stack: Stack, google: str, **settings: str) -> Iterator[tuple[Site, Service]]:
    with site(stack.directory, google, RETRY_MAX_RETRIES="1", **(stack.environment | settings)) as place:
        yield place, place.start()


def fail(google: str, *rules: dict[str, Any]) -> None:
    """From now on only this goes wrong."""
    control(google, "PUT", "faults", {"rules": list(rules)})


def letters(service: Service, **query: Any) -> list[dict[str, Any]]:
    answer = service.get(DLQ, **query)
    assert answer.status == 200, answer
    return list(answer.json()["items"])


def redrive(service: Service, **wish: Any) -> tuple[int, int, int]:
    """Matched, redriven, parked."""
    answer = service.request("POST", f"{DLQ}/redrive", wish)
    assert answer.status == 200, answer
    result = answer.json()
    return result["matched"], result["redriven"], result["parked"]


def ended(service: Service, job_id: str, seconds: float = 60.0) -> str:
    return str(service.job_ended(job_id, seconds)["status"])


def first_calls(google: str, after: int) -> dict[tuple[str, str], float]:
    """(path, page token) → when it was first asked for, of the calls behind this number; in the order of time."""
    calls = sorted((call["time"], call["path"], call["page_token"]) for call in list(ledger(google))[after:])
    return {(path, page): at for at, path, page in reversed(calls)}


async def test_dead_letters_are_tried_again_no_faster_than_asked_whatever_is_killed_meanwhile(stack: Stack) -> None:
    def look() -> None:
        with simulator_process(*WORLD) as google, running(stack, google) as (place, service):
            fail(google, SECOND_PAGES_FAIL)
            job_id = service.submit(TOKEN)
            assert ended(service, job_id) == "dlq"
            given_up = letters(service, job_id=job_id)
            (cause,) = service.get(f"{DLQ}/causes", job_id=job_id).json()["causes"]
            assert (cause["cause"], cause["title"], cause["count"]) == ("http_503", "HTTP 503", LETTERS)
            fail(google)
            calls = len(list(ledger(google)))
            assert redrive(service, all=True, dry_run=True) == (LETTERS, 0, 0)
            assert letters(service, job_id=job_id) == given_up

            began = time.monotonic()
            assert redrive(service, filter={"job_id": job_id, "stage": "reviews"}, rate=RATE) == (LETTERS, LETTERS, 0)
            eventually(lambda: len(first_calls(google, calls)) >= KILLED_AFTER, 30, "the first of them")
            service.kill()
            following = place.start()
            assert ended(following, job_id, 120) == "completed"

            assert letters(following) == []
            assert following.exported(job_id) == upstream(google, TOKEN)
            asked = first_calls(google, calls)
            assert sorted(page for _, page in asked) == sorted(letter["cursor"] for letter in given_up)
            due = [began + number / RATE for number in range(LETTERS)]
            early = [
                at for at, allowed in zip(sorted(asked.values()), due, strict=True) if at < allowed - CLOCK_SECONDS
            ]
            assert early == []

    await asyncio.to_thread(look)


async def test_what_dies_after_every_redrive_is_parked_until_somebody_insists(stack: Stack) -> None:
    def look() -> None:
        with simulator_process(*WORLD) as google, running(stack, google, DLQ_MAX_REDRIVES="2") as (_, service):
            fail(google, REFUSED | {"path": upstream(google, TOKEN)[0][0]})
            job_id = service.submit(TOKEN)
            assert ended(service, job_id) == "dlq"
            for _ in range(2):
                (letter,) = letters(service, parked="false")
                assert redrive(service, ids=[letter["id"]]) == (1, 1, 0)
                assert ended(service, job_id) == "dlq"

            (letter,) = letters(service, parked="true", cause="PERMISSION_DENIED")
            assert (letter["redrives"], letter["parked"]) == (2, True)
            assert letters(service, parked="false") == []
            history = service.get(f"{DLQ}/{letter['id']}").json()["earlier"]
            assert [(one["redrives"], one["redriven_at"] is None) for one in history] == [(1, False), (0, False)]
            calls = len(list(ledger(google)))
            for wish in ({"all": True}, {"filter": {"job_id": job_id}}, {"ids": [letter["id"]]}):
                assert redrive(service, **wish) == (1, 0, 1)
            assert service.job(job_id)["status"] == "dlq"

            fail(google)
            assert redrive(service, all=True, include_parked=True, dry_run=True) == (1, 0, 0)
            assert redrive(service, ids=[letter["id"]], include_parked=True) == (1, 1, 0)
            assert ended(service, job_id) == "completed"
            assert service.exported(job_id) == upstream(google, TOKEN)
            assert len(list(ledger(google))[calls:]) == 2, "its two pages, and nothing while it was parked"
            assert service.get(f"{DLQ}/{letter['id']}").json()["redriven_at"] is not None

    await asyncio.to_thread(look)
