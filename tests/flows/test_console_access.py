"""Who may see and do what in the console: every route, every kind of visitor, and what a session is worth."""

import base64
import re
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute

from app.api.attempts import PER_MINUTE
from app.api.stored_keys import FRESH_SECONDS
from app.console.application import create_console
from app.console.routes.sign_in import own_path
from app.console.sessions import IDLE_SECONDS, LIFETIME_SECONDS, RENEW_SECONDS, Sessions
from app.models.access import Scope
from app.store.keys import prefix_of, revoke_key
from tests.support.api import SEALER, TOKEN
from tests.support.clock import ManualClock
from tests.support.console import Browser, ServedConsole, served_console
from tests.support.keys import expire_now

OPEN = "no session"

EXPECTED: dict[tuple[str, str], Scope | str] = {
    ("GET", "/sign-in"): OPEN,
    ("POST", "/sign-in"): OPEN,
    ("POST", "/sign-out"): OPEN,
    ("GET", "/"): Scope.READ,
    ("GET", "/jobs"): Scope.READ,
    ("GET", "/jobs/new"): Scope.SUBMIT,
    ("POST", "/jobs/new"): Scope.SUBMIT,
    ("GET", "/jobs/{job_id}"): Scope.READ,
    ("GET", "/jobs/{job_id}/events"): Scope.READ,
    ("GET", "/jobs/{job_id}/accounts"): Scope.READ,
    ("GET", "/jobs/{job_id}/locations"): Scope.READ,
    ("GET", "/jobs/{job_id}/reviews"): Scope.READ,
    ("GET", "/jobs/{job_id}/review"): Scope.READ,
    ("GET", "/jobs/{job_id}/reviews/ndjson"): Scope.READ,
    ("GET", "/jobs/{job_id}/reviews/csv"): Scope.READ,
    ("GET", "/jobs/{job_id}/reviews/parquet"): Scope.READ,
    ("GET", "/jobs/{job_id}/webhooks"): Scope.READ,
    ("POST", "/jobs/{job_id}/webhooks/{webhook_id}/resend"): Scope.OPERATE,
    ("POST", "/jobs/{job_id}/cancel"): Scope.OPERATE,
    ("POST", "/jobs/{job_id}/pause"): Scope.OPERATE,
    ("POST", "/jobs/{job_id}/resume"): Scope.OPERATE,
    ("POST", "/jobs/{job_id}/token"): Scope.OPERATE,
    ("GET", "/dead-letters"): Scope.READ,
    ("GET", "/dead-letters/{letter_id:int}"): Scope.READ,
    ("POST", "/dead-letters/redrive"): Scope.OPERATE,
    ("GET", "/quota"): Scope.ADMIN,
    ("GET", "/audit"): Scope.ADMIN,
    ("GET", "/settings"): Scope.ADMIN,
}

FIELDS = {"access_token": TOKEN, "which": "all"}
QUERY = {"/jobs/{job_id}/review": "?location=locations/1&review_id=a"}


def _routes() -> list[tuple[str, str]]:
    console = create_console(version="0")
    included = [getattr(route, "original_router", None) for route in console.routes]
    routes = [route for router in included if router for route in router.routes if isinstance(route, APIRoute)]
    return sorted((method, route.path) for route in routes for method in route.methods or ())


ROUTES = _routes()
guarded = pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if EXPECTED.get(route) != OPEN])
form = pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "POST"])
of_a_job = pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in ROUTES if "{job_id}" in path and path not in QUERY]
)


async def _open(browser: Browser, method: str, path: str, job_id: str = "") -> tuple[int, str]:
    target = _target(path, job_id or str(uuid4()))
    answer = await (browser.get(target) if method == "GET" else browser.post(target, **FIELDS))
    return answer.status, answer.headers.get("location", "")


def _target(path: str, job_id: str) -> str:
    return (
        "/console"
        + path.replace("{job_id}", job_id).replace("{letter_id:int}", "7").replace("{webhook_id}", "7")
        + QUERY.get(path, "")
    )


async def _job_behind_a_key(served: ServedConsole) -> str:
    """From now on there are keys, so nobody is let in without one."""
    return await served.api.submit(x_api_key=await served.api.key(Scope.ADMIN))


def test_every_route_has_an_expectation_and_no_expectation_is_without_its_route() -> None:
    assert set(ROUTES) == set(EXPECTED)


@guarded
async def test_without_a_session_every_page_leads_to_the_sign_in_and_no_form_does_anything(
    served: ServedConsole, method: str, path: str
) -> None:
    job_id = await _job_behind_a_key(served)
    status, location = await _open(served.browser(), method, path, job_id)
    if method == "GET":
        assert (status, location.partition("?")[0]) == (303, "/console/sign-in")
    else:
        assert status == 401
    assert (await served.api.services.progress.job("default", job_id)).status == "pending"
    assert await served.api.count_jobs() == 1


@guarded
async def test_a_key_without_the_scope_gets_a_page_that_says_so(served: ServedConsole, method: str, path: str) -> None:
    needed = EXPECTED[method, path]
    browser = served.browser()
    await browser.sign_in(await served.api.key(*(set(Scope) - {needed, Scope.ADMIN})))
    await browser.get("/console/jobs")
    target = _target(path, "any")
    answer = await (browser.get(target) if method == "GET" else browser.post(target, **FIELDS))
    assert (answer.status, f"Scope: {needed}" in answer.text) == (403, True)


@guarded
async def test_a_key_with_the_scope_is_let_in(served: ServedConsole, method: str, path: str) -> None:
    needed = EXPECTED[method, path]
    assert isinstance(needed, Scope)
    job_id = await _job_behind_a_key(served)
    if path.endswith("/events"):
        await served.api.services.job_control.cancel("default", job_id)  # the stream of one that goes on has no end
    browser = served.browser()
    await browser.sign_in(await served.api.key(needed))
    await browser.get("/console/jobs")
    status, location = await _open(browser, method, path, job_id)
    assert status in (200, 303, 404, 409)
    assert "sign-in" not in location


@of_a_job
async def test_the_job_of_another_tenant_is_the_same_page_as_one_that_does_not_exist(
    served: ServedConsole, method: str, path: str
) -> None:
    theirs = await served.api.submit()
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.ADMIN, tenant="other"))
    await browser.get("/console/jobs")
    pages = [
        await (browser.get(target) if method == "GET" else browser.post(target, **FIELDS))
        for target in (_target(path, id_) for id_ in (theirs, str(uuid4())))
    ]
    assert [page.status for page in pages] == [404, 404]
    assert len({re.sub(r"/console/jobs/[0-9a-f-]+", "", page.text) for page in pages}) == 1


@form
async def test_a_form_without_the_token_of_its_session_is_refused(served: ServedConsole, path: str) -> None:
    job_id = await served.api.submit()
    browser, other = served.browser(), served.browser()
    for one in (browser, other):
        await one.sign_in(await served.api.key(Scope.ADMIN))
        await one.get("/console/")
    target = _target(path, job_id)
    for csrf in ("", "guessed", other.csrf):
        assert (await browser.post(target, csrf=csrf, **FIELDS)).status == 403
    assert (await served.api.services.progress.job("default", job_id)).status == "pending"


async def test_a_session_ends_after_twelve_hours_however_much_it_is_used(
    served: ServedConsole, clock: ManualClock
) -> None:
    """ASVS 5.0 V7: an absolute lifetime."""
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    for _ in range(int(LIFETIME_SECONDS // (IDLE_SECONDS / 2)) - 1):
        await clock.advance(IDLE_SECONDS / 2)
        assert (await browser.get("/console/jobs")).status == 200
    await clock.advance(IDLE_SECONDS / 2 + 1)
    assert (await browser.get("/console/jobs")).status == 303


async def test_a_session_ends_when_nothing_was_asked_for_an_hour(served: ServedConsole, clock: ManualClock) -> None:
    """ASVS 5.0 V7: an inactivity timeout."""
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    await clock.advance(RENEW_SECONDS + 1)
    assert "set-cookie" in (await browser.get("/console/jobs")).headers
    await clock.advance(IDLE_SECONDS - 1)
    kept = browser.cookie
    assert (await browser.get("/console/jobs")).status == 200
    browser.cookie = kept
    await clock.advance(2)
    assert (await browser.get("/console/jobs")).status == 303


async def test_a_revoked_key_ends_its_sessions_within_five_seconds(served: ServedConsole, clock: ManualClock) -> None:
    key = await served.api.key(Scope.READ)
    await served.api.key(Scope.READ)
    browser = served.browser()
    await browser.sign_in(key)
    await served.api.database.write(revoke_key, None, prefix_of(key) or "")
    await clock.advance(FRESH_SECONDS)
    answer = await browser.get("/console/jobs?status=failed")
    assert answer.headers["location"] == "/console/sign-in?next=/console/jobs%3Fstatus%3Dfailed"
    told = await browser.get(
        "/console/jobs", hx_request="true", hx_current_url="http://localhost/console/jobs?status=failed"
    )
    assert (told.status, told.headers["hx-redirect"]) == (401, answer.headers["location"])


async def test_the_cookie_holds_the_key_sealed_and_is_for_the_console_alone(served: ServedConsole) -> None:
    key = await served.api.key(Scope.READ)
    browser = served.browser()
    answer = await browser.sign_in(key)
    told = answer.headers["set-cookie"].lower()
    assert all(word in told for word in ("httponly", "samesite=strict", "path=/console", "max-age="))
    assert "secure" not in told
    sealed = base64.urlsafe_b64decode(browser.cookie + "=" * (-len(browser.cookie) % 4))
    assert key.encode() not in sealed
    assert key not in answer.headers["set-cookie"]


async def test_behind_tls_the_cookie_is_for_tls_and_this_host_alone(served: ServedConsole) -> None:
    """ASVS 5.0 V3: Secure, and a `__Host-` name, which a neighbour or plain HTTP cannot set."""
    key = await served.api.key(Scope.READ)
    browser = served.browser()
    browser.headers["x-forwarded-proto"] = "https"
    answer = await browser.sign_in(key)
    told = answer.headers["set-cookie"]
    assert told.startswith("__Host-review_fetcher_console=")
    assert {"secure", "httponly", "path=/", "samesite=strict"} <= set(told.lower().split("; "))
    assert "domain" not in told.lower()
    assert (await browser.get("/console/jobs")).status == 200
    browser.cookie_name = "review_fetcher_console"
    assert (await browser.get("/console/jobs")).status == 303


async def test_a_cookie_that_was_changed_is_none(served: ServedConsole) -> None:
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    good = browser.cookie
    for changed in (good[:-4] + "AAAA", good[:20], "x", "%00", "AQ" * 40):
        browser.cookie = changed
        assert (await browser.get("/console/jobs")).status == 303


async def test_a_sealed_token_of_a_job_is_no_session(served: ServedConsole) -> None:
    await served.api.key(Scope.READ)
    browser = served.browser()
    for tenant, job_id in (("default", "job"), ("", "")):
        browser.cookie = base64.urlsafe_b64encode(SEALER.seal(tenant, job_id, '["k","c",9e9]').data).decode()
        assert (await browser.get("/console/jobs")).status == 303


async def test_a_wrong_key_is_told_calmly_and_not_sent_back(served: ServedConsole) -> None:
    await served.api.key(Scope.READ)
    browser = served.browser()
    answer = await browser.sign_in("rf_abcdefgh_not-a-key-at-all")
    assert answer.status == 401
    assert "not a valid API key" in answer.text
    assert "not-a-key-at-all" not in answer.text


async def test_signing_out_leaves_a_browser_that_is_nobody(served: ServedConsole) -> None:
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    await browser.get("/console/jobs")
    assert (await browser.post("/console/sign-out")).headers["location"] == "/console/sign-in"
    assert (await browser.get("/console/jobs")).status == 303


async def test_a_copy_of_a_cookie_opens_nothing_after_the_sign_out(served: ServedConsole) -> None:
    """ASVS 5.0 V7: the sign-out ends the session, not only the browser's memory of it."""
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    await browser.get("/console/jobs")
    copy = browser.cookie
    await browser.post("/console/sign-out")
    browser.cookie = copy
    assert (await browser.get("/console/jobs")).status == 303


async def test_what_a_page_follows_ends_with_its_session(served: ServedConsole, clock: ManualClock) -> None:
    """Another tab of the same browser is told nothing more after the sign-out."""
    sessions: Sessions = served.console.state.sessions
    signed_in, other = sessions.begin("a key"), sessions.begin("a key")
    assert await sessions.goes_on(signed_in)
    await sessions.end(signed_in)
    assert [await sessions.goes_on(one) for one in (signed_in, other)] == [False, True]
    await clock.advance(LIFETIME_SECONDS)
    assert not await sessions.goes_on(other)


async def test_a_sign_in_begins_a_new_session_and_ends_the_one_before(served: ServedConsole) -> None:
    """ASVS 5.0 V7: a new session token at each authentication, so that none can be planted."""
    browser = served.browser()
    keys = [await served.api.key(Scope.READ, tenant=tenant) for tenant in ("acme", "other")]
    await browser.get("/console/sign-in")
    before = browser.cookie
    await browser.sign_in(keys[0])
    first = browser.cookie
    await browser.sign_in(keys[1])
    page = await browser.get("/console/jobs")
    assert "<bdi>other</bdi>" in page.text
    assert len({before, first, browser.cookie}) == 3
    browser.cookie = first
    assert (await browser.get("/console/jobs")).status == 303


async def test_an_expired_key_ends_its_sessions(served: ServedConsole, clock: ManualClock) -> None:
    key = await served.api.key(Scope.READ)
    await served.api.key(Scope.READ)
    browser = served.browser()
    await browser.sign_in(key)
    await served.api.database.write(expire_now, prefix_of(key))
    await clock.advance(FRESH_SECONDS)
    assert (await browser.get("/console/jobs")).headers["location"] == "/console/sign-in?next=/console/jobs"
    answer = await browser.sign_in(key)
    assert (answer.status, "expired" in answer.text) == (401, True)


async def test_wrong_keys_at_the_sign_in_are_limited_and_a_session_goes_on(served: ServedConsole) -> None:
    """ASVS 5.0 V6: against guessing of keys, at the sign-in as at the API."""
    browser, guesser = served.browser(), served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    answers = [await guesser.sign_in(f"guess-{number}") for number in range(PER_MINUTE + 1)]
    assert [answer.status for answer in answers] == [401] * PER_MINUTE + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "Too many wrong API keys" in answers[-1].text
    assert (await browser.get("/console/jobs")).status == 200


async def test_a_reader_sees_no_action(served: ServedConsole) -> None:
    job_id = await served.api.submit()
    browser = served.browser()
    await browser.sign_in(await served.api.key(Scope.READ))
    pages = [(await browser.get(f"/console{path}")).text for path in ("/", "/jobs", f"/jobs/{job_id}", "/dead-letters")]
    for page in pages:
        assert re.findall(r'<form[^>]* action="([^"]*)"', page) == ["/console/sign-out"]
        assert "New job" not in page
        assert "/console/settings" not in page


async def test_without_keys_this_machine_needs_no_sign_in_and_every_page_says_so(served: ServedConsole) -> None:
    browser = served.browser()
    answer = await browser.get("/console/jobs/new")
    assert (answer.status, "Open to this machine" in answer.text) == (200, True)
    submitted = await browser.post("/console/jobs/new", access_token=TOKEN)
    assert submitted.headers["location"].startswith("/console/jobs/")
    assert (await served.browser(client=("203.0.113.7", 1)).get("/console/jobs")).status == 303


@pytest.mark.parametrize("path", ["/sign-in", "/nowhere", "/jobs/no-such-job", "/jobs?status=unheard-of", "/quota"])
async def test_without_keys_pages_for_everybody_and_for_errors_say_so_too(served: ServedConsole, path: str) -> None:
    told = "Open to this machine"
    assert told in (await served.browser().get(f"/console{path}")).text
    assert told not in (await served.browser(client=("203.0.113.7", 1)).get(f"/console{path}")).text
    await served.api.key(Scope.READ)
    async with served_console(served.api.database) as closed:
        assert told not in (await closed.browser().get(f"/console{path}")).text


async def test_a_link_on_another_site_does_not_end_the_session(served: ServedConsole) -> None:
    """The cookie does not come along with it; a cookie set now would take its place."""
    await served.api.key(Scope.READ)
    answer = await served.browser().get("/console/jobs", sec_fetch_site="cross-site")
    assert (answer.status, 'http-equiv="refresh"' in answer.text) == (200, True)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "wanted",
    ["", "https://example.com/", "//example.com", "/api/v1/quota", "/console", "/console//example.com",
     "/console/../docs", "/console/\\example.com", "/console/\nx", "javascript:alert(1)"],
)  # fmt: skip
def test_a_sign_in_leads_to_a_page_of_the_console_alone(wanted: str) -> None:
    assert own_path(wanted) == "/console/"


def test_a_sign_in_leads_back_to_the_page_that_was_wanted() -> None:
    assert own_path("/console/jobs?status=failed") == "/console/jobs?status=failed"


async def test_pages_are_not_kept_and_files_are_kept_for_ever(served: ServedConsole) -> None:
    page = await served.browser().get("/console/jobs")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    for address in re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text):
        file = await served.browser().get(address)
        assert (file.status, "immutable" in file.headers["cache-control"]) == (200, True)
    other = await served.browser().get("/console/static/0000000000000000/console.css")
    assert (other.status, other.headers["cache-control"]) == (200, "no-store")
    assert (await served.browser().get("/console/static/x/nothing.js")).status == 404


async def test_a_typed_token_is_never_sent_back(served: ServedConsole) -> None:
    browser = served.browser()
    await browser.get("/console/jobs/new")
    answer = await browser.post("/console/jobs/new", access_token="a token with spaces")
    assert answer.status == 422
    assert "visible ASCII" in answer.text
    assert "a token with spaces" not in answer.text


async def test_a_file_as_a_form_and_a_body_that_is_too_large_do_nothing(served: ServedConsole) -> None:
    browser = served.browser()
    await browser.get("/console/jobs/new")
    assert (await browser.post("/console/jobs/new", access_token="x" * 70_000)).status == 413
    answer = await browser.client.post("/console/jobs/new", {"access_token": TOKEN}, cookie=browser.cookie)
    assert answer.status in (401, 403)
    assert await served.api.count_jobs() == 0
