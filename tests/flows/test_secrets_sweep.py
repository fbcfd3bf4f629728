"""After a walk with refusals, retries, a kill, tokens given and renewed, at the most talkative level, none is left.

Searched are every log line, every file of the data directory, every answer, the metrics, the process's arguments; and
with servers every row of PostgreSQL and every message on Kafka.
"""

import asyncio
import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import pytest

from app.models.events import Topic
from tests.support.service import JOBS, Answer, Service, Site, eventually, retries_for, site
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

NOBODY = "http://127.0.0.1:9/hook"

TELLING = 12
"""Characters: a beginning of a token as long as this is not told either."""


def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    told = _secrets()
    with simulator_process("--faults", "flaky") as google, site(tmp_path, google, **_talkative(told.key)) as place:
        job_id, found = _walk(place, google, told)
        names = ("reviews.db-wal", "reviews.db at the end", "service-1.log", "service-2.log at the end", "answers")
        _assert_searched_and_clean(found, names, job_id, told)


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_no_secret_is_left_on_the_servers(servers: Stack) -> None:
    """Every row of PostgreSQL, and every message of every topic with its key and headers."""
    told = _secrets()

    def walk() -> tuple[str, dict[str, bytes]]:
        settings = servers.environment | _talkative(told.key)
        with (
            simulator_process("--faults", "flaky") as google,
            site(servers.directory, google, **settings) as place,
        ):
            return _walk(place, google, told)

    job_id, found = await asyncio.to_thread(walk)
    found |= {"rows": await servers.all_rows()}
    found |= {str(topic): await servers.all_messages(topic) for topic in Topic}
    names = ("rows", Topic.FETCH_ACCOUNTS, Topic.FETCH_REVIEWS, Topic.REVIEWS_RAW, "service-1.log", "answers")
    _assert_searched_and_clean(found, names, job_id, told)


WORLD = ".sim-accounts2-locations3-reviews120"


class _Secrets(NamedTuple):
    """Two access tokens, an API key, a grant, the query of a callback's URL, and what the grant gave: the simulator's
    first renewed token for this world."""

    first: str
    second: str
    key: str
    refresh_token: str
    client_secret: str
    hook: str
    renewed: str = f"ya29{WORLD}-fresh1"

    @property
    def replacement(self) -> dict[str, str]:
        """A token that ends soon, with what the next one is asked for by."""
        grant = {"refresh_token": self.refresh_token, "client_id": "client-1", "client_secret": self.client_secret}
        return {"access_token": self.second} | grant


def _secrets() -> _Secrets:
    return _Secrets(_token(), f"{_token()}-expires100", secrets.token_urlsafe(32), _token(), _token(), _hook())


def _walk(place: Site, google: str, told: _Secrets) -> tuple[str, dict[str, bytes]]:
    """A job that meets everything; and all that was written and answered meanwhile, by its name."""
    control(google, "POST", "faults", {"fault": "expired_token", "api": "reviews", "after": 5, "times": 1})
    service = _start(place, told.key)
    answers = [service.request("POST", JOBS, body) for body in _mistakes(told)]
    job_id = _submitted(service, told)
    eventually(lambda: service.job(job_id)["status"] == "needs_token", 30, "the refusal of the token")
    service.kill()
    found = dict(_files(place))
    service = _start(place, told.key)
    answers.append(service.request("PUT", f"{JOBS}/{job_id}/token", told.replacement))
    assert service.job_ended(job_id)["status"] == "completed"
    assert "token.renewed" in place.logs()
    eventually(lambda: _attempts(service, job_id) == 2, 60, "attempts at the callback")
    answers += _everything_it_tells(service, job_id)
    found["arguments"] = Path(f"/proc/{service.pid}/cmdline").read_bytes()
    service.terminate()
    found |= {f"{name} at the end": content for name, content in _files(place)}
    found["answers"] = repr([(dict(answer.headers), answer.body) for answer in answers]).encode()
    assert {answer.status for answer in answers} == {200, 404, 422}
    return job_id, found


def _assert_searched_and_clean(found: Mapping[str, bytes], names: Sequence[str], job_id: str, told: _Secrets) -> None:
    """In those of `names` the job must be found, or they are not what they should be."""
    for name in names:
        assert job_id.encode() in found[name], f"{name} is not what it should be, or not searched"
    for name, content in found.items():
        for secret in told:
            assert not [form for form in _forms(secret) if form in content], f"a secret is in {name}"


def test_the_sweep_knows_a_secret_in_every_form() -> None:
    token = _token()
    for prefix in ("", "a", "ab"):
        hidden = b64encode(f"{prefix}{token}".encode())
        assert any(form in hidden for form in _forms(token))
    for told in (
        token,
        quote(token, safe=""),
        json.dumps({"token": token}),
        token[:TELLING] + "…",
        token.encode().hex(),
    ):
        assert any(form in told.encode() for form in _forms(token))


def _token() -> str:
    """With characters that URLs and JSON escape."""
    return f'{secrets.token_urlsafe(24)}+"~/\\{secrets.token_urlsafe(24)}{WORLD}'


def _talkative(key: str) -> dict[str, str]:
    """A kill and a 401 may each begin another row of failures."""
    settings = {"LOG_LEVEL": "DEBUG", "API_KEYS": key, "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    return settings | retries_for(kills=2)


def _submitted(service: Service, told: _Secrets) -> str:
    """A job whose callback nobody listens at."""
    answer = service.request("POST", JOBS, {"access_token": told.first, "callback_url": f"{NOBODY}?key={told.hook}"})
    assert answer.status == 202
    return str(answer.json()["job_id"])


def _attempts(service: Service, job_id: str) -> int:
    """Messages to the callback of which one attempt failed."""
    items = service.get(f"{JOBS}/{job_id}/webhooks").json()["items"]
    return len([item for item in items if item["attempts"] and item["last_error"]])


def _start(place: Site, key: str) -> Service:
    service = place.start()
    service.headers["X-API-Key"] = key
    return service


def _hook() -> str:
    """A secret as a URL may hold it."""
    return f"{secrets.token_urlsafe(24)}%2F{secrets.token_urlsafe(24)}"


def _mistakes(told: _Secrets) -> list[object]:
    """Bodies with a secret in a wrong place, or wrong themselves."""
    token, grant = told.first, {name: value for name, value in told.replacement.items() if name != "access_token"}
    return [
        {"access_token": token, "callback_url": f"ftp://127.0.0.1/?key={told.hook}"},
        {"access_token": token, "callback_url": [f"{NOBODY}?key={told.hook}"]},
        {"refresh_token": told.refresh_token},
        grant | {"client_secret": told.client_secret + " x"},
        grant | {"refresh_token": [told.refresh_token]},
        grant | {told.client_secret: "x"},
        {"acces_token": token},
        {"access_token": [token]},
        {"access_token": token, token: "x"},
        {"access_token": token + " x"},
        token,
    ]


def _everything_it_tells(service: Service, job_id: str) -> list[Answer]:
    job = f"{JOBS}/{job_id}"
    reviews = [f"{job}/reviews?format={name}" for name in ("json", "ndjson", "csv")]
    of_job = [job, f"{job}/accounts", f"{job}/locations", f"{job}/webhooks"]
    views = [JOBS, *of_job, *reviews, "/api/v1/reviews/feed", "/api/v1/dlq"]
    views += ["/api/v1/overview", "/api/v1/quota", "/api/v1/settings"]
    return [
        service.get(path) for path in (*views, "/api/v1/health", "/readyz", "/metrics", "/openapi.json", "/nothing")
    ]


def _files(place: Site) -> Iterator[tuple[str, bytes]]:
    """Every file that the service wrote, its logs too."""
    for path in place.directory.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def _forms(secret: str) -> Iterator[bytes]:
    """As it is, as URLs, JSON, Python, hexadecimal digits and base64 would have it, and its beginning."""
    plain = secret.encode()
    yield plain[:TELLING]
    yield plain[-40:]
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield repr(secret)[1:-1].encode()
    yield plain.hex().encode()
    for encode in (b64encode, urlsafe_b64encode):
        for shift in range(3):  # where it begins within a group of three bytes
            yield encode(plain[shift : shift + 30])
