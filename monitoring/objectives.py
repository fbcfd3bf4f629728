"""What is promised, as queries: each gives the share that was good, to be compared with its target."""

from typing import NamedTuple

from monitoring.recording import (
    FAILED_SUBMISSIONS,
    FIRST_REVIEWS,
    FIRST_REVIEWS_IN_TIME,
    OBJECTIVE,
    PUBLISHED_IN_TIME,
    SUBMISSIONS,
)


class Objective(NamedTuple):
    """`target`: the share that must be good. `query`: the share that was, over the window of the objective."""

    name: str
    target: float
    query: str


OBJECTIVES = (
    Objective(
        "acceptance",
        OBJECTIVE,
        f"1 - sum_over_time({FAILED_SUBMISSIONS}[30d]) / (sum_over_time({SUBMISSIONS}[30d]) > 0)",
    ),
    Objective(
        "time to the first review",
        0.95,
        f"sum(rate({FIRST_REVIEWS_IN_TIME}[1h])) / sum(rate({FIRST_REVIEWS}[1h]))",
    ),
    Objective(
        "freshness",
        0.999,
        f"avg_over_time({PUBLISHED_IN_TIME}[30d])",
    ),
)

COULD_RUN = "sum(review_fetcher:runnable_tasks:max)"
"""Tasks that could be worked on now: the second objective does not see jobs whose first review has not come."""
