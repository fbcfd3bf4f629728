"""Every fault does over HTTP what its name says, to the calls that it names, as often as it says."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from app.simulator import Catalogue, Faults, Simulator
from app.simulator import faults as f
from app.simulator.calls import Call
from app.simulator.engine import FaultEngine
from tests.unit.simulator.conftest import WORLD, Client, Reply


async def reviews_under(client: Client, *rules: f.AnyRule, **query: Any) -> Reply:
    """reviews.list of one location while only these rules are in force."""
    client.simulator.faults.replace(Faults(rules=rules))
    return await client.get(client.reviews_path(), **query)


async def test_429_with_seconds_a_date_retry_info_or_nothing(client: Client) -> None:
    plain = await reviews_under(client, f.RateLimited())
    assert (plain.status, plain.body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert "Retry-After" not in plain.headers
    assert plain.body["error"]["details"][0]["metadata"]["service"] == "mybusiness.googleapis.com"
    seconds = await reviews_under(client, f.RateLimited(retry_after=3))
    assert seconds.headers["Retry-After"] == "3"
    date = await reviews_under(client, f.RateLimited(retry_after=60, as_date=True))
    assert 50 < (parsedate_to_datetime(date.headers["Retry-After"]) - datetime.now(UTC)).total_seconds() <= 60
    info = await reviews_under(client, f.RateLimited(retry_delay=0.5))
    assert info.body["error"]["details"][-1]["retryDelay"] == "0.5s"
    never = await reviews_under(client, f.RateLimited(limit=0))
    assert never.body["error"]["details"][0]["metadata"]["quota_limit_value"] == "0"


async def test_403_has_its_reason(client: Client) -> None:
    for reason in ("SERVICE_DISABLED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"):
        reply = await reviews_under(client, f.Forbidden(reason=reason))
        assert (reply.status, reply.body["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert reason in {detail.get("reason") for detail in reply.body["error"]["details"]}
    for legacy in ("rateLimitExceeded", "userRateLimitExceeded"):
        reply = await reviews_under(client, f.Forbidden(reason=legacy))
        assert (reply.status, reply.body["error"]["errors"][0]["reason"]) == (403, legacy)
    assert "details" not in (await reviews_under(client, f.Forbidden())).body["error"]


@pytest.mark.parametrize("status", [400, 404, 500, 501, 502, 503, 504])
async def test_failures_have_their_status_and_body(client: Client, status: Any) -> None:
    assert (await reviews_under(client, f.Failure(status=status))).body["error"]["code"] == status
    html = await reviews_under(client, f.Failure(status=status, body="html"))
    assert (html.status, html.headers["Content-Type"][:9]) == (status, "text/html")
    empty = await reviews_under(client, f.Failure(status=status, body="empty"))
    assert (empty.status, empty.body) == (status, "")


async def test_a_cut_answer_ends_before_its_length(client: Client) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await reviews_under(client, f.Cut())
    [entry] = client.simulator.ledger.entries()
    assert (entry["status"], entry["outcome"]) == (200, "cut")


async def test_invalid_and_empty_answers_look_like_success(client: Client) -> None:
    broken = await reviews_under(client, f.InvalidJson())
    assert broken.status == 200
    assert isinstance(broken.body, str)
    empty = await reviews_under(client, f.EmptyBody())
    assert (empty.status, empty.body) == (200, "")


async def test_an_expired_token_stays_expired_and_others_live(client: Client) -> None:
    rule = f.ExpiredToken(after=1, times=1)
    assert (await reviews_under(client, rule)).status == 200
    assert [(await client.get(client.reviews_path())).status for _ in range(2)] == [401, 401]
    assert (await client.get("/v1/accounts")).status == 401
    assert (await client.get("/v1/accounts", "ya29.another")).status == 200
    assert (await client.get("/tokeninfo", "", access_token="ya29.plain")).status == 400


async def test_a_page_token_can_be_refused(client: Client) -> None:
    first = await reviews_under(client, f.RefusedPageToken(times=1))
    statuses = [(await client.get(client.reviews_path(), pageToken=first.body["nextPageToken"])).status for _ in "12"]
    assert (first.status, statuses) == (200, [400, 200])


async def test_a_page_token_can_lead_to_itself(client: Client) -> None:
    first = await client.get(client.reviews_path())
    token = first.body["nextPageToken"]
    looping = await reviews_under(client, f.LoopingPageToken(paged=True), pageToken=token)
    assert looping.body["nextPageToken"] == token
    assert looping.body["reviews"] != first.body["reviews"]


async def test_a_list_can_end_early(client: Client) -> None:
    cut = await reviews_under(client, f.EmptyObject())
    assert (cut.status, cut.body) == (200, {})


@pytest.mark.parametrize("count", [7, 50])
async def test_pages_can_overlap_without_losing_a_review(client: Client, count: int) -> None:
    client.simulator.faults.replace(Faults(rules=(f.Overlap(times=1, count=count),)))
    pages = await client.pages(client.reviews_path())
    ids = [review["reviewId"] for page in pages for review in page["reviews"]]
    assert len(ids) == 120 + count
    assert list(dict.fromkeys(ids)) == list(WORLD.review_ids(WORLD.location_name(1)))
    assert len({page.get("nextPageToken") for page in pages}) == len(pages), "no token comes twice"


async def test_a_location_can_change_while_it_is_read(client: Client) -> None:
    client.simulator.faults.replace(Faults(rules=(f.Mutate(paged=True, times=1, insert=3, edit=2),)))
    pages = await client.pages(client.reviews_path())
    ids = [review["reviewId"] for page in pages for review in page["reviews"]]
    truth = list(client.simulator.truth().review_ids(WORLD.location_name(1)))
    assert len(truth) == 123
    assert ids[50:55] == ids[45:50], "five more on top push five seen ones onto the second page"
    assert set(truth) - set(ids) == set(truth[:5]), "what came to the top behind the reader's back stays unseen"


async def test_deleted_reviews_make_a_walk_skip_others(client: Client) -> None:
    client.simulator.faults.replace(Faults(rules=(f.Mutate(paged=True, times=1, delete=4),)))
    pages = await client.pages(client.reviews_path())
    ids = {review["reviewId"] for page in pages for review in page["reviews"]}
    truth = list(client.simulator.truth().review_ids(WORLD.location_name(1)))
    assert set(truth) - ids == set(truth[46:50])
    assert pages[-1]["totalReviewCount"] == 116


async def test_strange_reviews_keep_their_ids(client: Client) -> None:
    plain = (await client.get(client.reviews_path())).body["reviews"]
    for what in ("oversized", "unknown_fields", "missing_rating", "unknown_rating", "wrong_types", "bad_text"):
        rule = f.Distort(what=what, count=2, size=2000)
        strange = (await reviews_under(client, rule)).body["reviews"]
        assert [review["reviewId"] for review in strange] == [review["reviewId"] for review in plain]
        assert [left != right for left, right in zip(strange, plain, strict=True)] == [True] * 2 + [False] * 48


async def test_bad_text_has_a_lone_surrogate_and_nul(client: Client) -> None:
    [review, *_] = (await reviews_under(client, f.Distort(what="bad_text"))).body["reviews"]
    assert "\0" in review["comment"]
    assert "\ud83d" in review["comment"]


async def test_a_hanging_call_ends_when_the_simulator_stops() -> None:
    async with aiohttp.ClientSession() as session, Simulator(WORLD, Faults(rules=(f.Hang(),))) as simulator:
        client = Client(simulator, session)
        hanging = asyncio.create_task(client.get("/v1/accounts"))
        assert await simulator.signals.reached({"fault:hang": 1}, 5)
        before = time.monotonic()
        await simulator.stop()
        assert (await hanging).status == 200
        assert time.monotonic() - before < 1


async def test_a_client_that_gives_up_is_recorded(client: Client) -> None:
    client.simulator.faults.replace(Faults(rules=(f.Hang(),)))
    hanging = asyncio.create_task(client.get("/v1/accounts"))
    assert await client.simulator.signals.reached({"fault:hang": 1}, 5)
    hanging.cancel()
    assert await client.simulator.signals.reached({"answered": 1}, 5)
    [entry] = client.simulator.ledger.entries()
    assert (entry["status"], entry["outcome"]) == (0, "hang")


async def test_a_held_call_waits_for_its_release(client: Client) -> None:
    client.simulator.faults.replace(Faults(rules=(f.Hold(times=2),)))
    held = [asyncio.create_task(client.get("/v1/accounts")) for _ in range(2)]
    assert await client.simulator.signals.reached({"held": 2}, 5)
    assert (await client.get("/v1/accounts")).status == 200, "the third is not held"
    assert (client.simulator.release(1), client.simulator.release()) == (1, 1)
    assert [(await call).status for call in held] == [200, 200]


async def test_latency_delays_the_answer(client: Client) -> None:
    reply = await reviews_under(client, f.Latency(seconds=0.05))
    [entry] = client.simulator.ledger.entries()
    assert reply.status == 200
    assert entry["duration"] >= 0.05


async def first_good(client: Client, path: str, token: str, query: dict[str, str]) -> dict[str, Any]:
    """The page within three attempts, as a correct client asks for it."""
    for _ in range(3):
        with suppress(aiohttp.ClientError):
            reply = await client.get(path, token, **query)
            if reply.status == 200 and isinstance(reply.body, dict):
                return reply.body
    raise AssertionError(f"three failures in a row for {query}")


async def test_a_client_with_three_attempts_for_a_page_survives_flaky(client: Client) -> None:
    client.simulator.faults.replace(Faults.flaky(seed=3))
    token = "ya29.sim-locations1-reviews20000"
    path = f"/v4/{Catalogue().account_name(0)}/{Catalogue().location_name(0)}/reviews"
    found: set[str] = set()
    page_token, pages_left = "", True
    while pages_left:
        query = {"pageToken": page_token} if page_token else {}
        page = await first_good(client, path, token, query)
        found.update(review["reviewId"] for review in page["reviews"])
        page_token = page.get("nextPageToken", "")
        pages_left = bool(page_token)
    assert found == set(client.simulator.truth(token).review_ids(Catalogue().location_name(0)))
    assert client.simulator.faults.fired.keys() >= {"rate_limited", "failure", "cut", "invalid_json", "overlap"}


def call(path: str = "/v4/a/reviews", api: Any = "reviews", page_token: str = "") -> Call:
    return Call("GET", path, {"pageToken": page_token} if page_token else {}, "t", False, api=api)


def outcomes(engine: FaultEngine, calls: list[Call]) -> list[str]:
    return [engine.plan(one).outcome for one in calls]


def test_a_script_counts_only_the_calls_it_matches() -> None:
    engine = FaultEngine(Faults(rules=(f.Failure(api="reviews", path="/a/", after=1, times=2),)))
    mixed = [call(), call("/v4/b/reviews"), call(), call("/v1/a/", api="locations"), call(), call()]
    assert outcomes(engine, mixed) == ["ok", "ok", "failure", "ok", "failure", "ok"]


def test_tokeninfo_and_token_are_hit_only_by_name() -> None:
    calls = [call("/tokeninfo", api="tokeninfo"), call("/token", api="token"), call()]
    assert outcomes(FaultEngine(Faults(rules=(f.Failure(),))), calls) == ["ok", "ok", "failure"]
    assert outcomes(FaultEngine(Faults(rules=(f.Failure(api="token"),))), calls) == ["ok", "failure", "ok"]


def test_a_rule_can_ask_for_first_or_later_pages_and_for_one_token() -> None:
    later = FaultEngine(Faults(rules=(f.Failure(paged=True),)))
    assert outcomes(later, [call(), call(page_token="x")]) == ["ok", "failure"]
    mine = FaultEngine(Faults(rules=(f.Failure(token=call().fingerprint), f.Cut(token="0" * 16))))
    assert outcomes(mine, [call()]) == ["failure"]


def test_only_one_fault_ends_a_call_but_others_may_join() -> None:
    engine = FaultEngine(Faults(rules=(f.Latency(), f.Failure(), f.Cut(), f.Overlap())))
    plan = engine.plan(call())
    assert [rule.name for rule in plan.fired] == ["latency", "failure", "overlap"]
    assert engine.report()["fired"] == {"latency": 1, "failure": 1, "overlap": 1}


def test_probable_faults_are_repeatable_and_leave_a_page_alone_after_two_in_a_row() -> None:
    rules = (f.Failure(probability=0.9),)
    first = outcomes(FaultEngine(Faults(seed=4, rules=rules)), [call()] * 200)
    assert outcomes(FaultEngine(Faults(seed=4, rules=rules)), [call()] * 200) == first
    assert "failure failure failure" not in " ".join(first)
    assert first.count("failure") > 100


def test_flaky_fails_often_enough_to_matter_and_never_three_times_for_one_page() -> None:
    engine = FaultEngine(Faults.flaky())
    in_a_row = 0
    failures = 0
    for _ in range(5000):
        ended = engine.plan(call()).first(f.Ending) is not None
        in_a_row = in_a_row + 1 if ended else 0
        failures += ended
        assert in_a_row <= 2
    assert 300 < failures < 1000


def test_a_sliding_quota_forgets_by_age_and_a_fixed_one_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [59.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sliding = FaultEngine(Faults(quota=f.Quota(reviews=1)))
    fixed = FaultEngine(Faults(quota=f.Quota(reviews=1, window="fixed")))
    assert [engine.exceeded_quota(call(), 1) for engine in (sliding, fixed)] == [None, None]
    assert [engine.exceeded_quota(call(), 1) for engine in (sliding, fixed)] == [1, 1]
    now[0] = 61.0
    assert [engine.exceeded_quota(call(), 1) for engine in (sliding, fixed)] == [1, None]
    now[0] = 119.5
    assert sliding.exceeded_quota(call(), 1) is None


@pytest.mark.parametrize(
    "text",
    ['{"rules": [{"fault": "nope"}]}', '{"rules": [{"fault": "cut", "typo": 1}]}', '{"preset": "sunny"}', "[", "{}x"],
)
def test_faults_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Faults.parse(text)


def test_faults_are_read_from_json() -> None:
    text = '{"rules": [{"fault": "rate_limited", "api": "reviews", "times": 2}], "quota": {"reviews": 300}}'
    assert Faults.parse(text) == Faults(rules=(f.RateLimited(api="reviews", times=2),), quota=f.Quota(reviews=300))
    assert Faults.parse('{"preset": "flaky", "seed": 3}') == Faults.flaky(3)
    assert f.parse_rules('{"fault": "cut"}') == f.parse_rules('[{"fault": "cut"}]') == (f.Cut(),)
