"""What the simulated Google's ledger says about a walk that was interrupted by kills."""

from collections import Counter
from math import ceil
from typing import Any
from urllib.parse import urlencode

from app.simulator.calls import fingerprint
from tests.support.service import Service, ledger, upstream
from tests.support.simulator import control

Call = dict[str, Any]

_SPOILT = ("cut", "invalid_json", "empty_body")
_PAGE_SIZES = {"accounts": 20, "locations": 100, "reviews": 50}


def calls_of(google: str, token: str) -> list[Call]:
    """Every call made with the token, in the order of arrival."""
    calls = (call for call in ledger(google) if call["token"] == fingerprint(token))
    return sorted(calls, key=lambda call: int(call["sequence"]))


def ideal_calls(google: str, token: str) -> int:
    """Every page once, and tokeninfo; for a world whose locations are shown by one account each."""
    world = control(google, "GET", f"truth?{urlencode({'token': token})}")
    accounts = int(world["accounts"])
    each = int(world["listed_locations"]) // accounts
    reviews = sum(_pages(int(place["reviews"]), "reviews") for place in world["locations"])
    return 1 + _pages(accounts, "accounts") + accounts * _pages(each, "locations") + reviews


def brought_a_page(call: Call) -> bool:
    return call["status"] == 200 and call["outcome"] not in _SPOILT


def lost_in_kills(calls: list[Call], kills: list[int]) -> Counter[int]:
    """How many pages each kill made the next process read again. `kills`: the last call's number before each.

    AssertionError for a page that was read again without need: a kill costs a list at most the page that was the
    newest of that list, for every earlier one had been settled before the next was asked for.
    """
    lost: Counter[int] = Counter()
    last: dict[tuple[str, str], Call] = {}
    newest: dict[str, list[int]] = {}
    for call in calls:
        page = call["path"], call["page_token"]
        before = last.get(page)
        if before is not None and (brought_a_page(before) or before["status"] == 0):
            kill = next((kill for kill in kills if before["sequence"] <= kill < call["sequence"]), None)
            assert kill is not None, f"{page} was read again though nothing was killed"
            followed = [number for number in newest[call["path"]] if before["sequence"] < number <= kill]
            assert not followed, f"{page} was read again though its next page had been asked for before the kill"
            lost[kill] += 1
        last[page] = call
        newest.setdefault(call["path"], []).append(call["sequence"])
    return lost


def assert_each_review_once(service: Service, google: str, token: str, job: dict[str, Any]) -> None:
    """Promise 3 for a job that has ended, by the export and by its own count."""
    assert job["status"] == "completed", job
    exported = service.exported(job["job_id"])
    assert exported == upstream(google, token)
    assert job["progress"]["reviews"]["fetched"] == len(exported)
    assert job["progress"]["tasks"]["open"] == job["progress"]["tasks"]["dead"] == 0


def assert_only_pages_in_flight_were_lost(google: str, token: str, kills: list[int], most: int) -> None:
    """From the ledger: every page once, and again only what was in flight at a kill, at most `most` pages."""
    calls = calls_of(google, token)
    lost = lost_in_kills(calls, kills)
    assert all(count <= most for count in lost.values()), lost
    failed = sum(not brought_a_page(call) and call["status"] != 0 for call in calls)
    assert len(calls) - failed == ideal_calls(google, token) + sum(lost.values())


def _pages(items: int, of: str) -> int:
    """Even nothing takes one page."""
    return max(1, ceil(items / _PAGE_SIZES[of]))
