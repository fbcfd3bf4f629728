"""API keys at a running service: opened and closed, rotated under use, expired, remembered over a stop."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.api.stored_keys import FRESH_SECONDS
from app.results.events import GUARD_SECONDS
from tests.support.events import following
from tests.support.service import JOBS, ROOT, STOP_SECONDS, Service, Site, eventually, site
from tests.support.simulator import control, simulator_process

TOKEN = "ya29.sim-accounts1-locations1-reviews100-keys"
HOLD = {"fault": "hold", "api": "reviews"}
SLACK_SECONDS = 5.0

SEALING_KEYS = f"1:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with simulator_process() as google, site(tmp_path, google) as found:
        control(google, "POST", "faults", HOLD)
        yield found


Settings = dict[str, str]


def keys(place: Site, *words: str, at: Settings | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`review-fetcher keys …` beside the service, or `at` it."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **place.settings, **(at or {})}
    command = [sys.executable, "-m", "app.cli", "keys", *words]
    done = subprocess.run(command, cwd=place.directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def listed(place: Site, at: Settings | None = None) -> dict[str, dict[str, Any]]:
    found = json.loads(keys(place, "list", "--json", at=at).stdout)["keys"]
    return {key["id"]: key for key in found}


def status(service: Service, key: str | None) -> int:
    service.headers = {"X-API-Key": key} if key else {}
    return service.get(JOBS).status


def test_a_key_is_rotated_under_use_and_the_old_one_ends_by_itself(place: Site) -> None:
    """The walk of docs/operating.md, with an overlap of seconds."""
    service = place.start()
    assert "service.open" in service.log.read_text()
    assert status(service, None) == 200
    admin = keys(place, "create", "administration", "--scope", "admin").stdout.strip()
    there = {"REVIEW_FETCHER_URL": service.url, "REVIEW_FETCHER_API_KEY": admin}
    eventually(lambda: status(service, None) == 401, FRESH_SECONDS + SLACK_SECONDS, "an end of the open door")
    old = keys(place, "create", "client", "--scope", "read", "--scope", "submit", "--expires-in", "90d", at=there)
    old_key = old.stdout.strip()
    old_id = old_key.split("_")[1]
    assert "is not shown again" in old.stderr
    assert status(service, old_key) == 200
    job_id = service.submit(TOKEN)
    with following(service, job_id) as stream:
        assert stream.next("state").data["job_id"] == job_id
        rotated = keys(place, "rotate", old_id, "--overlap", "10s", at=there)
        new_key = rotated.stdout.strip()
        assert f"Key {old_id}, which it replaces, works until" in rotated.stderr
        assert [status(service, key) for key in (old_key, new_key)] == [200, 200]
        assert "was replaced by" in keys(place, "rotate", old_id, code=1, at=there).stderr
        eventually(
            lambda: status(service, old_key) == 401, FRESH_SECONDS + 10 + SLACK_SECONDS, "the end of the overlap"
        )
        rest = list(stream.events())  # ends, though the job goes on and the stream is quiet
    assert [event for event in rest if event.kind == "done"] == []
    assert status(service, new_key) == 200
    known = listed(place, there)
    new_id = new_key.split("_")[1]
    assert (known[old_id]["state"], known[old_id]["replaced_by"]) == ("expired", new_id)
    assert (known[new_id]["state"], known[new_id]["scopes"]) == ("valid", ["read", "submit"])
    table = keys(place, "list", at=there).stdout
    assert [word in table for word in ("expired", "valid", "last used", new_id)] == [True] * 4
    assert "rf_" not in place.logs()


def test_a_stream_ends_within_seconds_of_a_revocation(place: Site) -> None:
    service = place.start()
    key = keys(place, "create", "client").stdout.strip()
    service.headers = {"X-API-Key": key}
    job_id = service.submit(TOKEN)
    with following(service, job_id) as stream:
        stream.next("state")
        keys(place, "revoke", key.split("_")[1])

        def ended() -> bool:
            return [event for event in stream.events() if event.kind == "done"] == []

        eventually(ended, FRESH_SECONDS + GUARD_SECONDS + SLACK_SECONDS, "the end of the stream")


def test_the_last_use_is_known_soon_and_kept_over_a_stop(place: Site) -> None:
    service = place.start()
    one, other = [keys(place, "create", name).stdout.strip() for name in ("one", "other")]
    one_id, other_id = (key.split("_")[1] for key in (one, other))
    assert status(service, one) == 200
    eventually(lambda: listed(place)[one_id]["last_used_at"], 15, "a first use in the store")
    assert listed(place)[other_id]["last_used_at"] is None
    assert status(service, other) == 200
    service.terminate()
    assert listed(place)[other_id]["last_used_at"] is not None


def test_production_does_not_start_with_keys_that_have_ended(place: Site) -> None:
    key = keys(place, "create", "only").stdout.split("_")[1]
    new = keys(place, "rotate", key, "--overlap", "0").stdout.split("_")[1]
    keys(place, "revoke", new)
    assert sorted(one["state"] for one in listed(place).values()) == ["expired", "revoked"]
    refused = place.launch(ENVIRONMENT="production", TOKEN_SEALING_KEYS=SEALING_KEYS)
    assert refused.process.wait(STOP_SECONDS) != 0
    assert "production needs an API key" in refused.log.read_text()
    keys(place, "create", "another")
    place.start(ENVIRONMENT="production", TOKEN_SEALING_KEYS=SEALING_KEYS)


def test_a_flood_of_wrong_keys_fills_no_log_and_is_counted(place: Site) -> None:
    service = place.start(FAILED_ATTEMPTS_PER_MINUTE="5")
    admin = keys(place, "create", "administration", "--scope", "admin").stdout.strip()
    assert status(service, admin) == 200
    answers = [status(service, f"rf_guess{number:03}_not-a-key") for number in range(50)]
    assert answers[:5] == [401] * 5
    assert set(answers[5:]) <= {401, 429}
    assert answers.count(429) > 40
    assert status(service, admin) == 200
    told = service.get("/metrics").body.decode()
    assert f'review_fetcher_failed_authentications_total{{reason="limited"}} {answers.count(429)}.0' in told
    assert f'review_fetcher_failed_authentications_total{{reason="wrong"}} {answers.count(401)}.0' in told
    log = service.log.read_text()
    assert log.count("authentication.failed") == answers.count(401)
    assert "not-a-key" not in log
