"""The corpus through everything that people or Google write, and through every address, in a real Chromium.

No dialog, no request elsewhere, nothing refused by the policy, no complaint in the browser's console (each window sees
to that), nothing of a text in the page but its letters. (ASVS 5.0 1.2.1, 1.2.2, 1.3.7, 3.2.2.)
"""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser
from sqlalchemy import insert, update

from app.models.job import LocationState, Stage
from app.models.review import Account, Location, Review
from app.models.settlement import LocationEnd, Settlement
from app.store import control
from app.store.database import Transaction
from app.store.schema import callbacks, dead_letters, jobs, locations, webhooks
from app.store.sqlite import SqliteDatabase
from tests.browser.planting import plant
from tests.browser.window import Window, window
from tests.browser.xss_corpus import PAYLOADS
from tests.support.api import SEALING_KEYS
from tests.support.jobs import DONE, settle_one
from tests.support.service import Service, site
from tests.support.simulator import simulator_process
from tests.support.store import new_job, take

ALL = "\n".join(PAYLOADS)
SOME = PAYLOADS[::8]

MADE = """() => [...document.querySelectorAll('main *, dialog *')]
    .filter(part => part.matches('script, iframe, object, embed, base, style, link, meta, svg script, math, template, '
        + 'video, audio, img, marquee, plaintext, xmp, listing, dialog[open], custom-element, slot, noscript, '
        + '[hx-on\\\\:\\\\:load], [hx-vals], #csrf, #attributes, [style]')
        || [...part.attributes].some(one => one.name.startsWith('on')
            || /^\\s*(java|vb)script:|^data:|^blob:/i.test(one.value)
            || ['href', 'src', 'action', 'formaction', 'hx-get', 'data-hx-get'].includes(one.name)
                && new URL(one.value, location.href).origin !== location.origin))
    .map(part => part.outerHTML.slice(0, 200))"""
"""Parts of a page that only a text can have made."""

READ = """() => [...document.querySelectorAll('li.review')].map(item => ['.words bdi', '.who', '.reply bdi']
    .map(part => item.querySelector(part).textContent))"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A service of its own, and the id of the job in which the corpus stands."""
    directory = tmp_path_factory.mktemp("hostile")
    world = ("--accounts", "1", "--locations", "1", "--reviews", "1")
    with simulator_process(*world) as google, site(directory, google, TOKEN_SEALING_KEYS=SEALING_KEYS) as place:
        job_id = plant(place.database, _hostile_job)
        yield place.start(), job_id


@pytest.fixture
def console(browser: Browser, hostile: tuple[Service, str]) -> Iterator[Window]:
    with window(browser, hostile[0].url) as opened:
        yield opened


async def _hostile_job(database: SqliteDatabase) -> str:
    """Cancelled in the end, so that nothing changes it any more."""
    job_id = await new_job(database)
    (accounts,) = await take(database, Stage.ACCOUNTS)
    found = [Account(f"accounts/{number}", text) for number, text in enumerate(PAYLOADS)]
    await settle_one(database, Settlement(accounts, DONE, calls=1, page=True, accounts=found))
    listing = (await take(database, Stage.LOCATIONS))[0]
    places = [Location(f"locations/{number}", text, text, text, True) for number, text in enumerate(PAYLOADS)]
    await settle_one(database, Settlement(listing, DONE, calls=1, page=True, locations=places))
    task = (await take(database, Stage.REVIEWS))[0]
    reviews = [_review(task.resource, number, text) for number, text in enumerate(PAYLOADS)]
    end = LocationEnd(LocationState.DONE)
    whole = Settlement(task, DONE, 1, page=True, reviews=reviews, total=len(reviews), location_end=end)
    await settle_one(database, whole)
    await database.write(control.cancel, "default", job_id)
    await database.write(_write_the_rest, job_id)
    return job_id


def _review(location: str, number: int, text: str) -> Review:
    raw = {
        "reviewId": str(number),
        "reviewer": {"displayName": text, "profilePhotoUrl": text},
        "comment": text,
        text: 1,
    }
    name = f"accounts/0/{location}/reviews/{number}"
    return Review(f"{number:03}", name, 1, text, text, "2024-01-01T00:00:00Z", text, text, json.dumps(raw).encode())


def _write_the_rest(transaction: Transaction, job_id: str) -> None:
    """What no answer of Google's could bring into these columns, but a fault or an attacker might."""
    run = transaction.connection.execute
    run(update(jobs).where(jobs.c.id == job_id).values(error_type=ALL[:90], error_detail=ALL, waiting_reason=ALL))
    run(update(locations).where(locations.c.job_id == job_id).values(cause="<img src=x onerror=alert(1)>"))
    letter = {"tenant": "default", "job_id": job_id, "stage": "reviews", "attempts": 4, "created_at": 1.0}
    texts = [{"resource": text, "cause": text, "detail": text, "cursor": text} for text in PAYLOADS]
    run(insert(dead_letters), [letter | text for text in texts])
    run(insert(callbacks).values(job_id=job_id, tenant="default", key_id="key-1", sealed_url=b"x", shown_url=ALL))
    message = {"tenant": "default", "job_id": job_id, "event": "review_fetch.cancelled", "body": b"{}", "due_at": 1.0}
    message |= {"status": "failed", "created_at": 1.0}
    run(insert(webhooks), [message | {"message_id": f"m{at}", "last_error": text} for at, text in enumerate(PAYLOADS)])


def _as_html_reads(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_the_corpus_is_large() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 80


@pytest.mark.parametrize(
    "path",
    ["jobs/{job}", "jobs/{job}/accounts", "jobs/{job}/locations", "jobs/{job}/webhooks", "jobs", "", "dead-letters"],
)
def test_no_page_makes_anything_of_it(console: Window, hostile: tuple[Service, str], path: str) -> None:
    console.go(f"/console/{path.replace('{job}', hostile[1])}")
    _show_everything(console)
    assert console.page.evaluate(MADE) == []


def _show_everything(console: Window) -> None:
    """Every page of a listing below the other."""
    more = console.page.locator("[data-more]")
    for _ in range(20):
        if not more.count():
            return
        link = more.first.element_handle()
        link.click()
        link.wait_for_element_state("hidden")  # its answer took its place
    raise AssertionError("there is always more")


def test_each_review_reads_as_it_was_written(console: Window, hostile: tuple[Service, str]) -> None:
    console.go(f"/console/jobs/{hostile[1]}/reviews")
    _show_everything(console)
    read = console.page.evaluate(READ)
    assert read == [[_as_html_reads(text)] * 3 for text in PAYLOADS]
    assert console.page.evaluate(MADE) == []


def test_what_google_sent_is_shown_and_nothing_of_it_loads(console: Window, hostile: tuple[Service, str]) -> None:
    for number in range(0, len(PAYLOADS), 8):
        console.go(f"/console/jobs/{hostile[1]}/review?location=locations/0&review_id={number:03}")
        sent = json.loads(console.page.locator("pre.raw").text_content() or "")
        assert sent["reviewer"]["profilePhotoUrl"] == PAYLOADS[number]
        assert console.page.evaluate(MADE) == []


def test_a_dead_letter_and_the_filter_of_its_cause(console: Window) -> None:
    for number in range(1, len(PAYLOADS) + 1, 8):
        console.go(f"/console/dead-letters/{number}")
        assert _as_html_reads(PAYLOADS[number - 1]).split()[0] in (console.page.locator("main").text_content() or "")
        assert console.page.evaluate(MADE) == []


@pytest.mark.parametrize(
    "address",
    ["jobs/{job}/reviews?text=", "jobs/{job}/reviews?location=", "jobs/{job}/review?review_id=1&location=",
     "sign-in?next=", "dead-letters?cause=", "jobs?status=", "jobs/", ""],
)  # fmt: skip
def test_an_address_is_repeated_as_text(console: Window, hostile: tuple[Service, str], address: str) -> None:
    console.expect_complaint("status of 4")
    for text in SOME:
        console.page.goto(console.url + "/console/" + address.replace("{job}", hostile[1]) + quote(text[:200], safe=""))
        assert console.page.evaluate(MADE) == []
        assert console.page.url.startswith(console.url)
