"""Access tokens that end before the walk does: renewed by the refresh token, once for all replicas, at no page's cost."""

from collections import Counter

from app.simulator import Catalogue, Faults, Simulator
from tests.support.engine import pages_read, running_engine, truth
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=2, locations=4, reviews=170)
GRANT = "1//refresh-token-for-tests"
ENDS_SOON = "ya29.sim-expires100"
"""It has 100 seconds left, fewer than the lead with which a token is renewed."""


async def test_a_job_with_nothing_but_a_refresh_token_completes(faults: Faults, stack: Stack) -> None:
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.job_ended(await engine.submit("", grant=GRANT))
        assert (job["status"], job["error_type"]) == ("completed", None)
        assert await engine.reviews(job["id"]) == truth(google)
        assert google.ledger.calls("token") == 1
        assert_never_refused(google)


async def test_a_token_that_ends_soon_is_renewed_before_it_does(faults: Faults, stack: Stack) -> None:
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(ENDS_SOON, grant=GRANT)
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == 1
        assert_never_refused(google)
        assert_no_page_was_read_twice(google)


def assert_never_refused(google: Simulator) -> None:
    assert [call for call in google.ledger.entries() if call["status"] == 401] == []


def assert_no_page_was_read_twice(google: Simulator) -> None:
    assert [page for page, times in Counter(pages_read(google)).items() if times > 1] == []
