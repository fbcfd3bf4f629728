"""Resident memory of the real service while 48 workers meet the largest and worst pages that a Google could send."""

import asyncio
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_google import Answer, always, flood, hostile_google, review, sent, whole
from tests.support.service import Service, site

pytestmark = pytest.mark.alone

WORKERS = 48
MEBIBYTE = 2**20
PATIENCE_SECONDS = 240.0

CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def full(mebibytes: float) -> bytes:
    """A page that is in order, of about so many MiB."""
    size = int(mebibytes * MEBIBYTE / 50)
    return json.dumps({"reviews": [review(number, comment="x" * size) for number in range(50)]}).encode()


PAGES: dict[str, tuple[Answer, str | None]] = {
    "50 MB": (flood(CLOSE, b'{"reviews":[' + b" " * 65_524, 800), "page_too_large"),
    "bombs": (whole(gzip.compress(b" " * (400 * MEBIBYTE), 9), Content_Encoding="gzip"), "page_too_large"),
    "a swarm of tiny values": (whole(b'{"reviews":[' + b"{}," * 1_300_000), "too_many_values"),
    "almost too large": (sent(CLOSE + full(3.8), then_close=True), None),
    "almost too large, packed": (whole(gzip.compress(full(3.8)), Content_Encoding="gzip"), None),
}
"""What each location answers, and the cause that is told (None: it is a page)."""

MOST_MB = 700.0
"""124 at rest, and for each worker a page of 4 MiB twice: Google's bytes and the texts in them. Measured: 510."""


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
@pytest.mark.parametrize(("answer", "cause"), PAGES.values(), ids=PAGES)
async def test_the_worst_pages_cost_a_bounded_amount_of_memory(
    tmp_path: Path, answer: Answer, cause: str | None
) -> None:
    """API4:2023, Unrestricted Resource Consumption, turned upstream (API10:2023)."""
    async with hostile_google({"/reviews": always(answer)}, locations=WORKERS) as google:
        with site(tmp_path, google.url, WORKER_CONCURRENCY=str(WORKERS), RETRY_MAX_RETRIES="1") as place:
            service = await asyncio.to_thread(place.start)
            before = service.peak_resident_mb()
            job = await asyncio.to_thread(ended, service)
            peak = service.peak_resident_mb()
            causes = await asyncio.to_thread(lambda: service.get("/api/v1/dlq/causes").json())
    sys.stdout.write(f"\nresident MB: {before:.0f} before, {peak:.0f} at most\n")
    assert peak < MOST_MB
    assert job["status"] == ("completed" if cause is None else "dlq")
    assert {item["cause"] for item in causes["causes"]} == ({cause} if cause else set())


def ended(service: Service) -> dict[str, Any]:
    return service.job_ended(service.submit("ya29.hostile"), PATIENCE_SECONDS)
