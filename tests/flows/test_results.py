"""Results over HTTP: which reviews, in which form, by which name; and what a job fetched against what Google counts."""

import csv
import io
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pyarrow.parquet
import pytest

from app.models.review import Review
from app.models.views import FeedPage
from app.store import review_pages
from tests.support.api import ServedApi, served_api
from tests.support.asgi import Answer
from tests.support.jobs import finished, finished_with
from tests.support.store import sqlite_database

JOBS = "/api/v1/review-fetch"


@dataclass
class Results:
    """A served job with a few reviews."""

    api: ServedApi
    job_id: str

    async def ask(self, *parameters: tuple[str, object], of: str = "reviews") -> Answer:
        return await self.api.client.get(f"{JOBS}/{self.job_id}/{of}?{urlencode(parameters)}")

    async def ids(self, *parameters: tuple[str, object]) -> list[str]:
        answer = await self.ask(*parameters)
        assert answer.status == 200, answer.text
        return [review["review_id"] for review in answer.json()["reviews"]]


def one(review_id: str, rating: int | None, comment: str | None, update_time: str, reply: str | None) -> Review:
    name = f"accounts/1/locations/1/reviews/{review_id}"
    return Review(review_id, name, rating, comment, "A. Guest", update_time, update_time, reply, b'{"a": 1}')


FOUND = {
    "locations/1": [
        one("a", 5, "Sehr SCHÖN", "2026-01-01T00:00:00Z", "Danke!"),
        one("b", 1, '=HYPERLINK("http://evil.example")', "2026-02-01T00:00:00Z", None),
        one("c", None, "<script>alert(1)</script>", "2026-03-01T00:00:00Z", None),
    ],
    "locations/2": [one("d", 4, None, "2026-04-01T01:00:00+01:00", "Schön, danke")],
}


@pytest.fixture
async def results(tmp_path: Path) -> AsyncIterator[Results]:
    async with sqlite_database(tmp_path) as database, served_api(database) as api:
        yield Results(api, await finished_with(database, FOUND))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([], "abcd"),
        ([("rating", 5)], "a"),
        ([("rating", 5), ("rating", "none")], "ac"),
        ([("has_reply", "true")], "ad"),
        ([("has_reply", "false"), ("rating", 1)], "b"),
        ([("text", "schön")], "ad"),
        ([("text", "SCHÖN"), ("location", "locations/2")], "d"),
        ([("since", "2026-02-01")], "bcd"),
        ([("since", "2026-04-01T00:00:00Z")], "d"),
        ([("since", "2026-04-01T02:00:00+02:00")], "d"),
        ([("since", "2026-04-01T00:00:00.000000001Z")], ""),
        ([("location", "locations/3")], ""),
        ([("text", "%")], ""),
    ],
)
async def test_a_filter_is_the_same_for_pages_and_files(
    results: Results, parameters: list[tuple[str, object]], expected: str
) -> None:
    assert await results.ids(*parameters) == list(expected)
    lines = await results.ask(*parameters, ("format", "ndjson"))
    assert lines.body.count(b"\n") == len(expected)
    table = await results.ask(*parameters, ("format", "csv"))
    rows = csv.DictReader(io.StringIO(table.text, newline=""))
    assert [row["review_id"] for row in rows] == list(expected)
    columns = pyarrow.parquet.read_table(io.BytesIO((await results.ask(*parameters, ("format", "parquet"))).body))
    assert columns.column("review_id").to_pylist() == list(expected)


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv; charset=utf-8"),
        ("parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_a_file_has_a_type_and_a_name_of_the_servers(results: Results, form: str, media_type: str) -> None:
    answer = await results.ask(("format", form))
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="reviews-{results.job_id}.{form}"'
    assert "content-disposition" not in (await results.ask()).headers


async def test_a_page_that_found_too_little_leads_on(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_pages, "MOST_LOOKED_AT", 1)
    monkeypatch.setattr(review_pages, "ROWS_A_QUERY", 1)
    first = (await results.ask(("rating", 4))).json()
    assert first["reviews"] == []
    seen, cursor = [], first["next_cursor"]
    while cursor is not None:
        page = (await results.ask(("rating", 4), ("cursor", cursor))).json()
        seen += [review["review_id"] for review in page["reviews"]]
        cursor = page["next_cursor"]
    assert seen == ["d"]


async def test_a_cursor_of_another_filter_is_refused(results: Results) -> None:
    cursor = (await results.ask(("limit", 1), ("has_reply", "true"))).json()["next_cursor"]
    assert await results.ids(("has_reply", "true"), ("cursor", cursor)) == ["d"]
    for parameters in ([("has_reply", "false")], [], [("has_reply", "true"), ("rating", 5)]):
        answer = await results.ask(*parameters, ("cursor", cursor))
        assert (answer.status, answer.problem) == (422, "bad-cursor")


@pytest.mark.parametrize(
    ("parameters", "field", "message"),
    [
        (
            [("colour", "red")],
            "query.colour",
            "there is no such parameter here; /openapi.json has those that there are",
        ),
        ([("format", "xlsx")], "query.format", "Input should be 'json', 'ndjson', 'csv' or 'parquet'"),
        ([("format", "csv"), ("limit", 5)], "query", "format=csv gives everything: leave out limit"),
        (
            [("format", "parquet"), ("limit", 5), ("cursor", "x")],
            "query",
            "format=parquet gives everything: leave out cursor and limit",
        ),
        ([("rating", 6)], "query.rating.0", "Input should be '1', '2', '3', '4', '5' or 'none'"),
        ([("location", "1")], "query.location", "a location is named locations/{id}"),
        (
            [("since", "2026-01-01T00:00:00 02:00")],
            "query.since",
            "a date or a time of RFC 3339, e.g. 2026-01-31 or 2026-01-31T09:30:00Z (in a URL, + is written %2B)",
        ),
        ([("limit", 1001)], "query.limit", "Input should be less than or equal to 1000"),
    ],
)
async def test_parameters_that_mean_nothing_are_refused_with_words(
    results: Results, parameters: list[tuple[str, object]], field: str, message: str
) -> None:
    answer = await results.ask(*parameters)
    assert (answer.status, answer.problem) == (422, "invalid-request")
    assert answer.json()["errors"] == [{"field": field, "message": message}]


async def test_without_pyarrow_parquet_is_a_problem_that_says_what_to_install(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await results.ask(("format", "parquet"))
    assert (answer.status, answer.problem) == (501, "parquet-missing")
    assert 'pip install "pyarrow>=22"' in answer.json()["detail"]
    assert (await results.ask(("format", "csv"))).status == 200


async def test_a_formula_in_a_review_is_text_in_the_table(results: Results) -> None:
    table = (await results.ask(("format", "csv"))).text
    comments = [row["comment"] for row in csv.DictReader(io.StringIO(table, newline=""))]
    assert comments[1] == "'" + '=HYPERLINK("http://evil.example")'


async def test_locations_can_be_chosen_and_reconciled(results: Results) -> None:
    async def names(*parameters: tuple[str, object]) -> list[str]:
        answer = await results.ask(*parameters, of="locations")
        return [place["location"] for place in answer.json()["locations"]]

    assert await names(("state", "done"), ("account", "accounts/1")) == ["locations/1", "locations/2"]
    assert (
        await names(("account", "accounts/2")) == await names(("gaps", "true")) == await names(("state", "dead")) == []
    )
    assert (await results.ask(("colour", "red"), of="locations")).problem == "invalid-request"
    assert (await results.ask(("account", "1"), of="locations")).problem == "invalid-request"
    told = (await results.ask(of="reconciliation")).json()
    assert (told["whole"], told["locations"], told["complete"], told["expected"], told["fetched"]) == (True, 2, 2, 4, 4)


async def test_the_feed_tails_all_jobs_of_the_caller(results: Results) -> None:
    database, client = results.api.database, results.api.client
    await finished(database, {"locations/9": ["foreign"]}, "other")
    second = await finished(database, {"locations/9": ["e"]})
    answer = await client.get("/api/v1/reviews/feed")
    assert answer.headers["content-type"] == "application/json"
    page = FeedPage.model_validate_json(answer.body)
    assert [(review.job_id, review.review_id) for review in page.reviews] == [
        *((results.job_id, review_id) for review_id in "abcd"),
        (second, "e"),
    ]
    assert not page.more
    third = await finished(database, {"locations/9": ["f"]})
    answer = await client.get(f"/api/v1/reviews/feed?after={page.next_cursor}")
    assert [(review["job_id"], review["review_id"]) for review in answer.json()["reviews"]] == [(third, "f")]
