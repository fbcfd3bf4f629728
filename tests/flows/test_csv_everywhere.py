"""The table is the same wherever it is taken: from the API, from the console, and by the command line."""

from pathlib import Path

from app.cli.local_service import LocalService
from app.config import load_settings
from app.models.access import DEFAULT_TENANT
from app.models.review import Review
from app.models.review_filter import EVERYTHING
from tests.support.console import served_console
from tests.support.csv_corpus import BREAKING, FORMULAS
from tests.support.jobs import finished_with
from tests.support.store import sqlite_database
from tests.unit.results.test_csv_formulas import is_inert, strictly


def _review(number: int, text: str) -> Review:
    name = f"accounts/1/locations/1/reviews/{number}"
    return Review(str(number), name, 1, text, text, text, text, text, b"{}")


async def test_no_table_calculates_and_all_are_the_same(tmp_path: Path) -> None:
    texts = [*FORMULAS, *BREAKING]
    reviews = [_review(number, text) for number, text in enumerate(texts)]
    async with sqlite_database(tmp_path) as database, served_console(database) as served:
        job_id = await finished_with(database, {"locations/1": reviews})
        by_api = await served.api.client.get(f"/api/v1/review-fetch/{job_id}/reviews?format=csv")
        by_console = await served.browser().get(f"/console/jobs/{job_id}/reviews/csv")
        local = LocalService(database, load_settings(_env_file=None), DEFAULT_TENANT)
        by_command = b"".join([chunk async for chunk in local.reviews(job_id, "csv", EVERYTHING)])
    assert by_api.body == by_console.body == by_command
    rows = strictly(by_command)
    assert len(rows) == 1 + len(texts)
    assert [ascii(cell) for row in rows for cell in row if not is_inert(cell)] == []
    for answer in (by_api, by_console):
        assert answer.headers["content-disposition"] == f'attachment; filename="reviews-{job_id}.csv"'
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
