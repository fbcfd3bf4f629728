"""What the machine of random steps knows: a Google whose pages shift, and every row of the store."""

import atexit
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from app.google.pages import AccountsPage, LocationsPage, ReviewsPage
from app.models.job import HeldTask, Stage
from app.models.review import Account, Location
from app.store.database import Transaction
from app.store.migrate import migrate
from app.store.schema import dead_letters, jobs, locations, reviews, tasks
from tests.support.store import review

ACCOUNTS_A_PAGE, LOCATIONS_A_PAGE, REVIEWS_A_PAGE = 2, 2, 3

Row = dict[str, Any]


@dataclass
class World:
    """What Google has for one job: accounts, the locations that each lists, and reviews, newest first."""

    listed: dict[str, list[str]]
    reviews: dict[str, list[str]]
    changed: bool = False

    def page(self, task: HeldTask) -> Any:
        """The task's page as it is now; a cursor is an offset."""
        start = int(task.cursor or 0)
        match task.stage:
            case Stage.ACCOUNTS:
                names = list(self.listed)
                shown = [Account(name, "") for name in names[start : start + ACCOUNTS_A_PAGE]]
                return AccountsPage(shown, _following(start, ACCOUNTS_A_PAGE, len(names)))
            case Stage.LOCATIONS:
                names = self.listed[task.resource]
                found = [Location(name, "", None, None, True) for name in names[start : start + LOCATIONS_A_PAGE]]
                return LocationsPage(found, _following(start, LOCATIONS_A_PAGE, len(names)))
            case Stage.REVIEWS:
                ids = self.reviews[task.resource]
                items = [review(review_id) for review_id in ids[start : start + REVIEWS_A_PAGE]]
                return ReviewsPage(items, len(ids), 4.0, _following(start, REVIEWS_A_PAGE, len(ids)))

    def truth(self) -> set[tuple[str, str]]:
        return {(name, review_id) for name, ids in self.reviews.items() for review_id in ids}


def _following(start: int, size: int, count: int) -> str | None:
    return str(start + size) if start + size < count else None


@dataclass
class Known:
    """What the machine knows of a job: its world, the reviews that were settled, and its row once it has ended."""

    world: World
    settled: set[tuple[str, str]] = field(default_factory=set)
    calls: int = 0
    end: Row | None = None


worlds = st.builds(
    lambda own, shared, sizes: World(
        {
            f"accounts/{account}": [*(f"locations/{account}-{number}" for number in range(count)), *shared]
            for account, count in enumerate(own)
        },
        {
            name: [f"{name}:{number}" for number in range(size)]
            for name, size in zip(
                [f"locations/{account}-{number}" for account in range(3) for number in range(3)] + ["locations/s"],
                sizes,
                strict=True,
            )
        },
    ),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.sampled_from([[], ["locations/s"]]),
    st.lists(st.integers(0, 10), min_size=10, max_size=10),
)

TABLES = (jobs, tasks, locations, reviews, dead_letters)


@dataclass
class Contents:
    """Every row of the store."""

    jobs: list[Row]
    tasks: list[Row]
    locations: list[Row]
    reviews: list[Row]
    dead_letters: list[Row]

    def of(self, job_id: str, table: str) -> list[Row]:
        return [row for row in getattr(self, table) if row["job_id"] == job_id]

    def task(self, task_id: int) -> Row:
        return next(row for row in self.tasks if row["id"] == task_id)

    def reviews_of(self, job_id: str) -> list[tuple[str, str]]:
        names = {place["no"]: place["location"] for place in self.of(job_id, "locations")}
        return [(names[row["location_no"]], row["review_id"]) for row in self.reviews if row["location_no"] in names]

    def counts(self, job_id: str) -> dict[str, int]:
        """The job's counters as the rows tell them."""
        work, places = self.of(job_id, "tasks"), self.of(job_id, "locations")
        listings = [task for task in work if task["stage"] == "locations"]
        return {
            "tasks_open": sum(task["status"] not in ("done", "dead") for task in work),
            "tasks_done": sum(task["status"] == "done" for task in work),
            "tasks_dead": sum(task["status"] == "dead" for task in work),
            "accounts_found": len(listings),
            "accounts_done": sum(task["status"] == "done" for task in listings),
            "locations_found": len(places),
            "locations_begun": sum(place["total"] is not None for place in places),
            "locations_done": sum(place["state"] == "done" for place in places),
            "locations_unavailable": sum(place["state"] == "unavailable" for place in places),
            "reviews_fetched": len(self.reviews_of(job_id)),
            "reviews_expected": sum(place["total"] or 0 for place in places),
        }


@cache
def template() -> Path:
    """An empty, migrated store, copied for each run of the machine."""
    directory = tempfile.mkdtemp(prefix="settle-machine-")
    atexit.register(shutil.rmtree, directory)
    path = Path(directory) / "template.db"
    with open_store(path) as connection, connection.begin():
        migrate(Transaction(connection, 0.0))
    return path


def open_store(path: Path) -> Connection:
    """Nobody pulls the plug here: the store's own tests do."""
    connection = create_engine(f"sqlite:///{path}", poolclass=NullPool).connect()
    connection.exec_driver_sql("PRAGMA synchronous=OFF")
    connection.commit()
    return connection
