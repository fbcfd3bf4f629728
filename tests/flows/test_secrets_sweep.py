"""After a walk with refusals, retries, a kill and a new token, at the log level that tells most, no secret is left.

Searched are every log line, every file of the data directory, every answer, the metrics, and the process's arguments.
"""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.support.service import JOBS, Answer, Service, Site, eventually, site
from tests.support.simulator import control, simulator_process

TELLING = 12
"""Characters: a beginning of a token as long as this is not told either."""


def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    first, second, key = _token(), _token(), secrets.token_urlsafe(32)
    with simulator_process("--faults", "flaky") as google, site(tmp_path, google, **_talkative(key)) as place:
        control(google, "POST", "faults", {"fault": "expired_token", "api": "reviews", "after": 5, "times": 1})
        service = _start(place, key)
        told = [service.request("POST", JOBS, body) for body in _mistakes(first)]
        job_id = service.submit(first)
        eventually(lambda: service.job(job_id)["status"] == "needs_token", 30, "the refusal of the token")
        service.kill()
        found = dict(_files(place))
        service = _start(place, key)
        told.append(service.request("PUT", f"{JOBS}/{job_id}/token", {"access_token": second}))
        assert service.job_ended(job_id)["status"] == "completed"
        told += _everything_it_tells(service, job_id)
        arguments = Path(f"/proc/{service.pid}/cmdline").read_bytes()
        service.terminate()
        found |= {f"{name} at the end": content for name, content in _files(place)}
        found["answers"] = repr([(dict(answer.headers), answer.body) for answer in told]).encode()
        assert {answer.status for answer in told} == {200, 404, 422}
        for name in ("reviews.db-wal", "reviews.db at the end", "service-1.log", "service-2.log at the end", "answers"):
            assert job_id.encode() in found[name], f"{name} is not what it should be, or not searched"
        for name, content in (found | {"arguments": arguments}).items():
            for secret in (first, second, key):
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
    return f'{secrets.token_urlsafe(24)}+"~/\\{secrets.token_urlsafe(24)}.sim-accounts2-locations3-reviews120'


def _talkative(key: str) -> dict[str, str]:
    return {"LOG_LEVEL": "DEBUG", "API_KEYS": key}


def _start(place: Site, key: str) -> Service:
    service = place.start()
    service.headers["X-API-Key"] = key
    return service


def _mistakes(token: str) -> list[object]:
    """Bodies with a token in a wrong place, or wrong themselves."""
    return [
        {"acces_token": token},
        {"access_token": [token]},
        {"access_token": token, token: "x"},
        {"access_token": token + " x"},
        token,
    ]


def _everything_it_tells(service: Service, job_id: str) -> list[Answer]:
    job = f"{JOBS}/{job_id}"
    reviews = [f"{job}/reviews?format={name}" for name in ("json", "ndjson", "csv")]
    views = [JOBS, job, f"{job}/locations", *reviews, "/api/v1/reviews/feed", "/api/v1/dlq", "/api/v1/quota"]
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
