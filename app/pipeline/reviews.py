"""The third stage: the reviews of one location, newest update first.

Pages shift while they are read. An edited review moves to the top and pushes others down: a location whose rows differ
from Google's total at the end is walked once more, until a page holds nothing new. Where that would come too early, it
is walked once more to its end: when the list ended a page or more before its total, and when the total has fallen
between two pages, for a review that is taken back lets others move up over a border that was passed already, and may
leave rows and total equal.
"""

from enum import IntEnum

from app.google.errors import GoogleAPIError
from app.google.pages import ReviewsPage
from app.google.unnamed import without_reviewer
from app.limits.permits import Api
from app.models.job import HeldTask, LocationState, Stage, TaskStatus
from app.models.review import Review
from app.models.settlement import GivenUp, LocationEnd, Move
from app.pipeline.lists import look_again
from app.pipeline.outcome import Advance, DeadLetter, Outcome
from app.pipeline.refusals import problem_of
from app.pipeline.worker import Worker

PAGE_SIZE = 50
SPARE_PAGES = 100
"""How many pages more than the total needs are read before the page tokens are held to go in circles."""

MOST_PAGES = 100_000
"""Of one location, whatever its total: five million reviews, more than any place on Earth has."""

UNVERIFIED = "not_verified"


class Walk(IntEnum):
    """How often and why a location's pages are read; `HeldTask.walk`."""

    FIRST = 0
    UNTIL_KNOWN = 1
    """The second look, until a page holds nothing new."""
    SHRUNK = 2
    """Still the first, but the total has fallen since."""
    WHOLE = 3
    """The second look, to the end."""


_SECOND_LOOK = (Walk.UNTIL_KNOWN, Walk.WHOLE)

DONE = Move(TaskStatus.DONE)


class ReviewWorker(Worker[ReviewsPage]):
    """Lists reviews, 50 a page; each becomes a row, once a job."""

    stage = Stage.REVIEWS
    api = Api.REVIEWS

    async def fetch(self, task: HeldTask, token: str) -> ReviewsPage:
        return await self.google.list_reviews(token, task.account, task.resource, task.cursor)

    def advance(self, task: HeldTask, page: ReviewsPage) -> Outcome:
        kept, given_up = self._split(task, self._allowed(task, page.reviews))
        total = task.location_total if page.total is None else page.total
        move, end = _next(task, page, total)
        ends = move.status is TaskStatus.DONE and end == LocationEnd(LocationState.DONE)
        return Advance(
            move,
            reviews=kept,
            given_up=given_up,
            total=page.total,
            average=page.average,
            location_end=end,
            again=(lambda new: _complete(task, page, total, new)) if ends or task.walk in _SECOND_LOOK else None,
        )

    def refused(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """400, 403 and 404 are how Google may say "not verified"; a 404 is also seen at random."""
        if error.status in (400, 403, 404) and not task.location_verified:
            return _unavailable(UNVERIFIED, error)
        if error.status == 404:
            return _unavailable("not_found", error) if task.missing else look_again(task, error, self.policy)
        return DeadLetter(problem_of(error), try_other_account=error.status == 403)

    def page_token_refused_again(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """Read as far as Google allows; the gap is recorded with the location."""
        return Advance(DONE, page=False, location_end=LocationEnd(LocationState.DONE, error.reason))

    def _allowed(self, task: HeldTask, reviews: list[Review]) -> list[Review]:
        """With their reviewers, unless the tenant or the service keeps none."""
        drops = self.options.drop_reviewers if task.drop_reviewers is None else task.drop_reviewers
        return [without_reviewer(review) for review in reviews] if drops else reviews

    def _split(self, task: HeldTask, reviews: list[Review]) -> tuple[list[Review], list[GivenUp]]:
        limit = self.options.max_review_bytes
        if all(len(review.raw) <= limit for review in reviews):
            return reviews, []
        kept = [review for review in reviews if len(review.raw) <= limit]
        return kept, [_too_large(task, review, limit) for review in reviews if len(review.raw) > limit]


def _too_large(task: HeldTask, review: Review, limit: int) -> GivenUp:
    detail = f"The review has {len(review.raw)} bytes; MAX_REVIEW_BYTES allows {limit}."
    return GivenUp("review", f"{task.resource}/reviews/{review.review_id}", "review_too_large", detail)


def _unavailable(cause: str, error: GoogleAPIError) -> Advance:
    move = Move(TaskStatus.DONE, error=problem_of(error))
    end = LocationEnd(LocationState.UNAVAILABLE, cause)
    return Advance(move, page=False, location_end=end, try_other_account=True)


def _next(task: HeldTask, page: ReviewsPage, total: int | None) -> tuple[Move, LocationEnd | None]:
    """Where the walk goes after this page, as far as it can be told before its reviews are in."""
    token = page.next_page_token
    if token is None:
        if total == 0 and task.cursor is None and task.location_verified is False:
            return DONE, LocationEnd(LocationState.UNAVAILABLE, UNVERIFIED)
        return DONE, LocationEnd(LocationState.DONE)
    if token == task.cursor or task.pages > _most_pages(task, total or 0):
        return DONE, LocationEnd(LocationState.DONE, "page_token_loop")
    return Move(TaskStatus.HELD, token, _walk_after(task, total), task.pages + 1, task.restarts), None


def _most_pages(task: HeldTask, total: int) -> int:
    """Twice what the total needs. A total that is made up does not help: each page brings a new review on average."""
    return min(2 * (total // PAGE_SIZE) + SPARE_PAGES, task.location_fetched + SPARE_PAGES, MOST_PAGES)


def _walk_after(task: HeldTask, total: int | None) -> Walk:
    """A total that fell before the first page of a walk has moved nothing over a border of this walk."""
    shrinks = task.cursor is not None and (total or 0) < (task.location_total or 0)
    return Walk.SHRUNK if shrinks and task.walk == Walk.FIRST else Walk(task.walk)


def _complete(task: HeldTask, page: ReviewsPage, total: int | None, new: int) -> tuple[Move, LocationEnd | None]:
    """With the page's reviews in: done, or walked once more, see above."""
    end = LocationEnd(LocationState.DONE)
    if task.walk in _SECOND_LOOK:
        goes_on = page.next_page_token is not None and (new > 0 or task.walk == Walk.WHOLE)
        return _next(task, page, total) if goes_on else (DONE, end)
    if _walk_after(task, total) is Walk.SHRUNK:
        return Move(TaskStatus.HELD, walk=Walk.WHOLE, restarts=task.restarts), None
    rows = task.location_fetched + new
    if total is None or rows == total:
        return DONE, end
    walk = Walk.WHOLE if _ended_early(page, total - rows) else Walk.UNTIL_KNOWN
    return Move(TaskStatus.HELD, walk=walk, restarts=task.restarts), None


def _ended_early(page: ReviewsPage, missing: int) -> bool:
    """Whether the list was cut off before what is missing: a look that ends with known pages would not come so far.

    Fewer than a page may be missing for good, when Google counts what it does not list: unless the last page was `{}`,
    without the total that every page has.
    """
    return missing >= PAGE_SIZE or (missing > 0 and not page.reviews and page.total is None)
