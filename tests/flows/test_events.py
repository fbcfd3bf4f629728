"""A job is followed over HTTP: what is told, in which order, and that any replica goes on where another stopped."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

from tests.flows.test_proxy import proxy_before
from tests.support.events import Event, following
from tests.support.proxied import Replica
from tests.support.replicas import published
from tests.support.service import JOBS, STOP_SECONDS, Service, Site, eventually, site, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

TOKEN = "ya29.sim-accounts1-locations3-reviews300-followed"
PROMPT_SECONDS = 3.0
KEY = "a-key-for-those-who-follow-jobs"

HOLD = {"fault": "hold", "api": "reviews", "after": 4}


@contextmanager
def running(stack: Stack, **settings: str) -> Iterator[tuple[str, Site, Service]]:
    """A Google, a place, and a service in it."""
    with ExitStack() as undo:
        google = undo.enter_context(simulator_process())
        place = undo.enter_context(site(stack.directory, google, **stack.environment, **settings))
        undo.callback(let_go, google)
        yield google, place, place.start()
        if stack.kafka is not None:
            eventually(lambda: published(stack), 30, "an empty outbox")


def let_go(google: str) -> None:
    control(google, "DELETE", "faults")
    control(google, "POST", "release")


async def test_a_job_is_told_from_its_beginning_to_its_end(stack: Stack) -> None:
    def walk() -> None:
        with running(stack) as (google, _, service):
            control(google, "POST", "faults", HOLD)
            job_id = service.submit(TOKEN)
            with following(service, job_id) as stream:
                assert stream.status == 200
                assert stream.headers["content-type"].startswith("text/event-stream")
                assert stream.headers["cache-control"] == "no-store"
                told = stream.until(lambda told: told[-1].kind == "progress" and _fetched(told[-1]) == 200)
                let_go(google)
                told += stream.events()
            assert told[-1].kind == "done"
            _assert_in_order(told)
            job = service.job(job_id)
            assert (told[-1].data, job["status"]) == (job, "completed")
            with following(service, job_id, told[-1].id) as stream:
                assert stream.status == 204

    await asyncio.to_thread(walk)


def _assert_in_order(told: list[Event]) -> None:
    """A state is told again when more is known of it: how long its token lasts."""
    statuses = [status for status, _ in groupby(event.data["status"] for event in told if event.kind == "state")]
    assert statuses in (["pending", "processing", "completed"], ["processing", "completed"])
    fetched = [_fetched(event) for event in told if event.kind == "progress"]
    assert fetched == sorted(fetched)
    assert fetched[-1] == 900
    assert len({event.id for event in told if event.kind}) == len([event for event in told if event.kind])


def _fetched(event: Event) -> int:
    return int(event.data["progress"]["reviews"]["fetched"])


async def test_another_replica_goes_on_behind_the_last_event(stack: Stack) -> None:
    """On SQLite there is one service at a time: there it is the same one, started again after a kill."""

    def walk() -> None:
        with running(stack) as (google, place, service):
            control(google, "POST", "faults", HOLD)
            job_id = service.submit(TOKEN)
            wait_for(google, "held", 1)
            eventually(lambda: service.job(job_id)["progress"]["reviews"]["fetched"] == 200, 30, "four settled pages")
            with following(service, job_id) as stream:
                seen = stream.next("progress")
            if stack.kafka is None:
                service.kill()
            other = place.start()
            with following(other, job_id, seen.id) as stream:
                assert other.request("POST", f"{JOBS}/{job_id}/pause").status == 200
                assert stream.next("state").data["status"] == "paused"
            with following(other, job_id, query=f"last_event_id={seen.id}") as stream:
                assert stream.next("state").data["status"] == "paused"
            other.request("POST", f"{JOBS}/{job_id}/cancel")

    await asyncio.to_thread(walk)


async def test_a_wait_for_quota_and_a_token_that_ends_too_early_are_told(stack: Stack) -> None:
    """Ninety pages at one a second, by a token of half a minute."""
    token = "ya29.sim-accounts1-locations9-reviews500-expires30"

    def walk() -> None:
        limits = {"RATELIMIT_TOKEN_BUCKET_CAPACITY": "10", "RATELIMIT_REFILL_RATE": "1"}
        with running(stack, **limits) as (_, __, service):
            job_id = service.submit(token)
            with following(service, job_id) as stream:
                stream.until(_tells_all)
                service.request("POST", f"{JOBS}/{job_id}/cancel")
                rest = list(stream.events())
            assert [event.data["status"] for event in rest if event.kind in ("state", "done")] == ["cancelled"] * 2
            assert rest[-1].data["estimate"] is None

    await asyncio.to_thread(walk)


def _tells_all(told: list[Event]) -> bool:
    waits = any(event.kind == "waiting" and event.data["until"] for event in told)
    estimates = [event.data["estimate"] for event in told if event.kind == "progress" and event.data["estimate"]]
    warned = any(event.kind == "state" and (event.data["token"] or {}).get("warning") for event in told)
    return waits and warned and any(one["limited_by"] == "quota" and one["seconds_left"] > 30 for one in estimates)


def test_a_stop_ends_the_streams_at_once(tmp_path: Path) -> None:
    with running(Stack.on_sqlite(tmp_path)) as (google, _, service):
        control(google, "POST", "faults", HOLD)
        job_id = service.submit(TOKEN)
        wait_for(google, "held", 1)
        with following(service, job_id) as stream:
            stream.next("progress")
            began = time.monotonic()
            service.process.terminate()
            assert "done" not in [event.kind for event in stream.events()]
            assert time.monotonic() - began < PROMPT_SECONDS
        let_go(google)
        service.process.wait(STOP_SECONDS)
        assert "service.stopped" in service.log.read_text()
        assert "Traceback" not in service.log.read_text()


def test_beyond_the_limit_a_client_is_told_to_come_back(tmp_path: Path) -> None:
    with running(Stack.on_sqlite(tmp_path), MAX_EVENT_STREAMS="1") as (google, _, service):
        control(google, "POST", "faults", HOLD)
        job_id = service.submit(TOKEN)
        wait_for(google, "held", 1)
        with following(service, job_id) as stream:
            stream.next("progress")
            refused = service.get(f"{JOBS}/{job_id}/events")
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["type"].endswith(":streams-busy")
        eventually(lambda: _can_follow(service, job_id), 10, "room for another client")
        let_go(google)


def _can_follow(service: Service, job_id: str) -> bool:
    with following(service, job_id) as stream:
        return stream.status == 200


class RealReplica(Replica):
    """A running service, where the proxy expects one."""

    service: Service

    @property
    def address(self) -> str:
        return self.service.url.removeprefix("http://")


def test_the_proxy_passes_events_on_as_they_come(tmp_path: Path) -> None:
    """It says for whom it asks, so a key is needed."""
    with running(Stack.on_sqlite(tmp_path), API_KEYS=KEY) as (google, _, service):
        service.headers["X-API-Key"] = KEY
        control(google, "POST", "faults", HOLD)
        job_id = service.submit(TOKEN)
        wait_for(google, "held", 1)
        eventually(lambda: service.job(job_id)["progress"]["reviews"]["fetched"] == 200, 30, "four settled pages")
        replica = RealReplica("real")
        replica.service = service
        replica.listening.close()
        with proxy_before([replica], tmp_path) as proxy:
            eventually(
                lambda: proxy.request("GET", headers=service.headers)[0] == 200, 15, "the service behind the proxy"
            )
            behind = Service(service.process, service.log)
            behind.url, behind.headers = f"http://{proxy.address[0]}:{proxy.address[1]}", service.headers
            with following(behind, job_id) as stream:
                assert _fetched(stream.next("progress")) == 200
        let_go(google)
