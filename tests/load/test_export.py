"""A million reviews leave the real service: every row, in bounded memory, at once, and nobody else has to wait."""

import csv
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pyarrow.parquet
import pytest

from tests.support.large_store import JOB_ID, RARE, write_large_store
from tests.support.service import JOBS, Service, site

REVIEWS = 1_000_000
MOST_MB = 300.0
FIRST_BYTE_SECONDS = 1.0
HEALTH_SECONDS = 1.0
PAGE_SECONDS = 1.0
NOBODY = "http://127.0.0.1:9"
"""The job is completed: Google is not asked."""

TASTE = 200_000
"""Bytes that a slow reader takes before it stops; far more are on their way by then."""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "data" / "reviews.db"
    path.parent.mkdir()
    write_large_store(path, REVIEWS)
    return path


@pytest.fixture
def service(large_store: Path) -> Iterator[Service]:
    with site(large_store.parents[1], NOBODY) as place:
        yield place.start()


def _ids_of_lines(content: IO[bytes]) -> Iterator[str]:
    return (json.loads(line)["review_id"] for line in content)


def _ids_of_rows(content: IO[bytes]) -> Iterator[str]:
    return (row["review_id"] for row in csv.DictReader(line.decode() for line in content))


def _ids_of_groups(content: IO[bytes]) -> Iterator[str]:
    file = pyarrow.parquet.ParquetFile(content)
    for group in range(file.num_row_groups):
        yield from file.read_row_group(group, columns=["review_id"]).column(0).to_pylist()


READERS: dict[str, Callable[[IO[bytes]], Iterator[str]]] = {
    "ndjson": _ids_of_lines,
    "csv": _ids_of_rows,
    "parquet": _ids_of_groups,
}


@pytest.mark.parametrize(
    "form", ["ndjson", *(pytest.param(form, marks=pytest.mark.nightly) for form in ("csv", "parquet"))]
)
def test_a_million_reviews_are_in_the_file(service: Service, form: str, tmp_path: Path) -> None:
    """While another reader of the same file has stopped in its middle."""
    path = tmp_path / f"reviews.{form}"
    with _slow_reader(service, form) as slow, _health_asked(service) as answered:
        first, seconds = _download(service, form, path)
        still_there = slow.recv(TASTE)
    with path.open("rb") as content:
        ids = list(READERS[form](content))
    peak, slowest = service.peak_resident_mb(), max(answered)
    sys.stdout.write(
        f"\n{form}: {len(ids):,} reviews, {path.stat().st_size / 1e6:.0f} MB in {seconds:.1f} s, first byte after "
        f"{first:.2f} s, peak {peak:.0f} MB, {len(answered)} health checks, the slowest {slowest:.2f} s\n"
    )
    assert len(ids) == len(set(ids)) == REVIEWS
    assert still_there
    assert first < FIRST_BYTE_SECONDS
    assert slowest < HEALTH_SECONDS
    assert peak < MOST_MB


def test_what_is_rare_among_a_million_is_found_in_short_answers(service: Service) -> None:
    seconds: list[float] = []
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        began = time.monotonic()
        page = service.get(f"{JOBS}/{JOB_ID}/reviews", text=RARE.upper(), **({"cursor": cursor} if cursor else {}))
        seconds.append(time.monotonic() - began)
        found += [review["review_id"] for review in page.json()["reviews"]]
        cursor = page.json()["next_cursor"]
    sys.stdout.write(f"\n{len(found)} found in {len(seconds)} pages, the slowest after {max(seconds):.2f} s\n")
    assert [int(review_id[-7:]) for review_id in found] == list(range(99_999, REVIEWS, 100_000))
    assert max(seconds) < PAGE_SECONDS
    assert service.peak_resident_mb() < MOST_MB


def _download(service: Service, form: str, path: Path) -> tuple[float, float]:
    """Seconds until the first byte of the file, and until it was whole."""
    with closing(http.client.HTTPConnection(*service.address, timeout=60)) as connection, path.open("wb") as file:
        began = time.monotonic()
        connection.request("GET", f"{JOBS}/{JOB_ID}/reviews?format={form}")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Content-Disposition") == f'attachment; filename="reviews-{JOB_ID}.{form}"'
        file.write(answer.read(1))
        first = time.monotonic() - began
        while part := answer.read(1 << 16):
            file.write(part)
        return first, time.monotonic() - began


@contextmanager
def _slow_reader(service: Service, form: str) -> Iterator[socket.socket]:
    """Has taken a little of the file, and takes nothing more."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(60)
        reader.connect(service.address)
        reader.sendall(f"GET {JOBS}/{JOB_ID}/reviews?format={form} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        taken = 0
        while taken < TASTE:
            taken += len(reader.recv(4096))
        yield reader


@contextmanager
def _health_asked(service: Service) -> Iterator[list[float]]:
    """Seconds that each answer took, one after the other until the end."""
    answered: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.05):
            began = time.monotonic()
            assert service.get("/api/v1/health").status == 200
            answered.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answered
    finally:
        over.set()
        asking.join()
    assert answered
