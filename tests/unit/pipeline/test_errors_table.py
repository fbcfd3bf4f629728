"""DESIGN's table of Google's errors, row by row: the stage and the situation decide what an error means."""

from typing import Any, NamedTuple

import pytest

from app.google.errors import ErrorKind, GoogleAPIError
from app.limits.cooldown import LONGEST_SECONDS
from app.models.job import LocationState, Stage, TaskStatus
from app.models.settlement import LocationEnd, Settlement
from app.pipeline.settle import LONGEST_DELAY_SECONDS
from tests.unit.pipeline.stage import ListeningQuota, error, held, settlement_of_answer

ALL = tuple(Stage)
LATER = (Stage.LOCATIONS, Stage.REVIEWS)
WAITING, HELD, DONE, DEAD = TaskStatus.WAITING, TaskStatus.HELD, TaskStatus.DONE, TaskStatus.DEAD

TRANSIENT = error(ErrorKind.TRANSIENT, 503)
THROTTLED = error(ErrorKind.THROTTLED, 429, retry_after=30.0)
NOT_APPROVED = error(ErrorKind.NOT_APPROVED, 429, "not_approved")
UNAUTHENTICATED = error(ErrorKind.UNAUTHENTICATED, 401)
TOKEN_REFUSED = error(ErrorKind.PAGE_TOKEN_REFUSED, 400, "page_token_refused")


def refused(status: int, reason: str = "") -> GoogleAPIError:
    return error(ErrorKind.REFUSED, status, reason)


async def outcome(stage: Stage, failure: GoogleAPIError, **situation: Any) -> Settlement:
    return await settlement_of_answer(held(stage, **situation), failure)


@pytest.mark.parametrize("stage", ALL)
async def test_what_may_pass_is_tried_again_after_a_backoff(stage: Stage) -> None:
    for attempt, delay in enumerate((0.1, 0.2, 0.4)):
        settlement = await outcome(stage, TRANSIENT, attempt=attempt, cursor="p2", pages=1)
        move = settlement.move
        assert (move.status, move.attempt, move.cursor) == (WAITING, attempt + 1, "p2")
        assert move.delay == pytest.approx(delay)
        assert not settlement.page


@pytest.mark.parametrize("stage", ALL)
@pytest.mark.parametrize(
    ("asked", "delay"), [(0.0, 0.2), (0.15, 0.2), (5.0, 5.0), (LONGEST_SECONDS, 3600.0), (86_400.0, 3600.0)]
)
async def test_a_time_that_google_asks_for_is_waited_for_and_counts_as_an_attempt(
    stage: Stage, asked: float, delay: float
) -> None:
    settlement = await outcome(stage, error(ErrorKind.TRANSIENT, 503, retry_after=asked), attempt=1)
    assert (settlement.move.status, settlement.move.attempt) == (WAITING, 2)
    assert settlement.move.delay == pytest.approx(delay)


@pytest.mark.parametrize("stage", ALL)
async def test_what_did_not_pass_in_all_its_attempts_is_dead(stage: Stage) -> None:
    settlement = await outcome(stage, error(ErrorKind.TRANSIENT, 503, retry_after=5.0), attempt=3, cursor="p2")
    assert (settlement.move.status, settlement.move.attempt, settlement.move.cursor) == (DEAD, 4, "p2")
    assert settlement.move.error is not None
    assert settlement.move.error.type == "http_503"
    assert settlement.job_problem is None


@pytest.mark.parametrize("stage", ALL)
async def test_throttling_waits_and_spends_no_attempt(stage: Stage) -> None:
    quota = ListeningQuota()
    task = held(stage, attempt=3, cursor="p2", pages=1, missing=1)
    settlement = await settlement_of_answer(task, THROTTLED, quota)
    move = settlement.move
    assert (move.status, move.attempt, move.cursor, move.pages, move.missing) == (WAITING, 3, "p2", 1, 1)
    assert move.delay == LONGEST_DELAY_SECONDS
    assert settlement.waiting == ("Google said so", 30.0)
    assert quota.answers == ["throttled"]


@pytest.mark.parametrize("stage", ALL)
async def test_a_project_without_quota_fails_the_job(stage: Stage) -> None:
    settlement = await outcome(stage, NOT_APPROVED)
    assert settlement.job_problem is not None
    assert settlement.job_problem.type == "not_approved"


@pytest.mark.parametrize("stage", ALL)
async def test_a_token_refused_before_any_page_fails_the_job(stage: Stage) -> None:
    settlement = await outcome(stage, UNAUTHENTICATED, pages_settled=0)
    assert settlement.job_problem is not None
    assert settlement.job_problem.type == "invalid_token"


@pytest.mark.parametrize("stage", ALL)
async def test_a_token_refused_later_waits_for_another_at_the_same_page(stage: Stage) -> None:
    settlement = await outcome(stage, UNAUTHENTICATED, pages_settled=1, cursor="p2", attempt=2)
    assert (settlement.move.status, settlement.move.cursor, settlement.move.attempt) == (WAITING, "p2", 2)
    assert settlement.token_problem is not None
    assert settlement.token_problem.type == "token_expired"
    assert settlement.job_problem is None


@pytest.mark.parametrize("status", [400, 403, 404, 501])
async def test_a_permanent_refusal_of_the_accounts_fails_the_job(status: int) -> None:
    settlement = await outcome(Stage.ACCOUNTS, refused(status, "SERVICE_DISABLED"))
    assert settlement.move.status is DEAD
    assert settlement.job_problem is not None
    assert settlement.job_problem.type == "SERVICE_DISABLED"


@pytest.mark.parametrize("stage", LATER)
@pytest.mark.parametrize("status", [400, 403, 501])
async def test_a_permanent_refusal_later_is_dead_and_the_job_goes_on(stage: Stage, status: int) -> None:
    settlement = await outcome(stage, refused(status))
    assert settlement.move.status is DEAD
    assert settlement.job_problem is None
    assert settlement.try_other_account == (stage is Stage.REVIEWS and status == 403)


class Unverified(NamedTuple):
    status: int
    verified: bool | None


@pytest.mark.parametrize("case", [Unverified(s, v) for s in (400, 403, 404) for v in (False, None)])
async def test_a_location_without_voice_of_merchant_is_unavailable(case: Unverified) -> None:
    settlement = await outcome(Stage.REVIEWS, refused(case.status), location_verified=case.verified)
    assert settlement.move.status is DONE
    assert settlement.location_end == LocationEnd(LocationState.UNAVAILABLE, "not_verified")
    assert settlement.try_other_account
    assert not settlement.page


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize("verified", [True, False, None])
async def test_a_project_or_consent_that_lacks_something_says_nothing_of_the_location(
    status: int, verified: bool | None
) -> None:
    failure = error(ErrorKind.NOT_ENTITLED, status, "SERVICE_DISABLED")
    settlement = await outcome(Stage.REVIEWS, failure, location_verified=verified)
    assert settlement.move.status is DEAD
    assert settlement.location_end == LocationEnd(LocationState.DEAD, "SERVICE_DISABLED")
    assert not settlement.try_other_account, "no other account would do, and a redrive has them all to try"
    assert settlement.job_problem is None


async def test_a_project_or_consent_that_lacks_something_gives_up_an_account_and_fails_a_job_without_any() -> None:
    failure = error(ErrorKind.NOT_ENTITLED, 403, "SERVICE_DISABLED")
    locations = await outcome(Stage.LOCATIONS, failure)
    assert (locations.move.status, locations.job_problem) == (DEAD, None)
    accounts = await outcome(Stage.ACCOUNTS, failure)
    assert accounts.job_problem is not None
    assert accounts.job_problem.type == "SERVICE_DISABLED"


@pytest.mark.parametrize("stage", LATER)
async def test_a_404_is_looked_at_again_without_spending_an_attempt(stage: Stage) -> None:
    settlement = await outcome(stage, refused(404), cursor="p2", attempt=1)
    move = settlement.move
    assert (move.status, move.missing, move.attempt, move.cursor) == (WAITING, 1, 1, "p2")
    assert move.delay > 0
    assert settlement.location_end is None


async def test_a_location_that_answers_404_twice_is_unavailable_unless_another_account_reads_it() -> None:
    settlement = await outcome(Stage.REVIEWS, refused(404), missing=1)
    assert settlement.move.status is DONE
    assert settlement.location_end == LocationEnd(LocationState.UNAVAILABLE, "not_found")
    assert settlement.try_other_account


async def test_an_account_that_answers_404_twice_is_dead() -> None:
    settlement = await outcome(Stage.LOCATIONS, refused(404), missing=1)
    assert settlement.move.status is DEAD


async def test_a_location_that_is_given_up_says_so() -> None:
    settlement = await outcome(Stage.REVIEWS, refused(403, "PERMISSION_DENIED"))
    assert settlement.location_end == LocationEnd(LocationState.DEAD, "PERMISSION_DENIED")


@pytest.mark.parametrize("stage", ALL)
async def test_a_refused_page_token_starts_the_list_again_at_once(stage: Stage) -> None:
    settlement = await outcome(stage, TOKEN_REFUSED, cursor="p3", pages=2, walk=1)
    move = settlement.move
    known = 1 if stage is Stage.REVIEWS else -2
    assert (move.status, move.cursor, move.pages, move.restarts, move.walk) == (HELD, None, 0, 1, known)
    assert not settlement.page


@pytest.mark.parametrize("stage", [Stage.ACCOUNTS, Stage.LOCATIONS])
async def test_a_page_token_refused_again_is_dead(stage: Stage) -> None:
    settlement = await outcome(stage, TOKEN_REFUSED, cursor="p3", restarts=1)
    assert settlement.move.status is DEAD


async def test_reviews_whose_page_token_is_refused_again_end_where_google_ends_them() -> None:
    settlement = await outcome(Stage.REVIEWS, TOKEN_REFUSED, cursor="p3", restarts=1)
    assert settlement.move.status is DONE
    assert settlement.location_end == LocationEnd(LocationState.DONE, "page_token_refused")


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (TRANSIENT, "released"),
        (THROTTLED, "throttled"),
        (NOT_APPROVED, "succeeded"),
        (error(ErrorKind.NOT_ENTITLED, 403), "succeeded"),
        (UNAUTHENTICATED, "succeeded"),
        (TOKEN_REFUSED, "succeeded"),
        (refused(403), "succeeded"),
    ],
)
async def test_every_permit_is_answered_once(failure: GoogleAPIError, answer: str) -> None:
    quota = ListeningQuota()
    settlement = await settlement_of_answer(held(cursor="p2"), failure, quota)
    assert quota.answers == [answer]
    assert settlement.calls == 1
