"""What is shown of jobs, locations, reviews and dead letters: the shapes that API, console and CLI share.

Times are RFC 3339 in UTC. A `next_cursor` is opaque: pass it on unchanged; null means there is no further page.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.models.choice import needs
from app.models.job import JobStatus, LocationState

Count = Annotated[int, Field(ge=0)]


class View(BaseModel):
    """A shape whose attribute docstrings describe its fields, in the OpenAPI document too."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class ProblemView(View):
    """Why something stopped, in the words of RFC 9457."""

    type: str
    """A machine's word for the cause, e.g. `token_expired`."""
    title: str
    """The cause in a few words."""
    status: int | None = None
    """The HTTP status that Google answered, if it was an answer of Google's."""
    detail: str
    """What happened, and what to do."""


class AccountsProgress(View):
    """The accounts that the token may see."""

    found: Count
    """Accounts that Google has listed so far."""
    done: Count
    """Of these: all locations listed."""


class LocationsProgress(View):
    """The locations of these accounts; one listed by several accounts counts once."""

    found: Count
    """Locations that Google has listed so far."""
    done: Count
    """Of these: all reviews read."""
    unavailable: Count
    """Of these: Google does not give reviews, e.g. for want of verification."""


class ReviewsProgress(View):
    """The reviews of these locations."""

    fetched: Count
    """Reviews kept; each once."""
    duplicates: Count
    """Reviews that Google listed again on a later page, and that were dropped."""
    expected: int
    """The sum of Google's newest `totalReviewCount` of every location read so far."""


class TasksProgress(View):
    """The units of work: one listing of accounts, of one account's locations, or of one location's reviews each."""

    open: Count
    """Still to be done."""
    done: Count
    """Done."""
    dead: Count
    """Given up; see the dead letters."""


class Progress(View):
    """How far a job is."""

    accounts: AccountsProgress
    locations: LocationsProgress
    reviews: ReviewsProgress
    calls: Count
    """Calls of Google's APIs so far, failed ones included."""
    tasks: TasksProgress


class Waiting(View):
    """Why nothing moves just now."""

    reason: str
    """A sentence for people."""
    until: datetime
    """When the job goes on by itself."""


class TokenView(View):
    """What is known of a job's access token; never the token."""

    expires_at: datetime | None
    """When Google stops accepting it; null before Google has been asked."""
    seconds_left: Count | None = None
    """How long that is from now, 0 when it is over; null when the job has ended and its token was wiped."""
    refreshable: bool = False
    """Whether the service gets new ones by itself, with a refresh token."""
    warning: str | None = None
    """What to do when the token has ended, or will before the job is estimated to."""


class Estimate(View):
    """When a job ends if all goes on as it does: from what is left, the quota, and the job's speed so far."""

    finished_at: datetime
    """The estimated end."""
    seconds_left: Count
    """How long that is from now."""
    calls_left: Count
    """Calls of Google's APIs that are left, as far as locations are known."""
    limited_by: Literal["quota", "speed"]
    """What makes it take so long: Google's quota, shared with other jobs, or how fast pages come."""


class JobView(View):
    """A job as it stands."""

    job_id: str
    """The id that the submission answered."""
    status: JobStatus
    """`completed`, `failed`, `dlq` and `cancelled` are ends; only `dlq` can be left, by a redrive."""
    message: str
    """The state in one sentence for people."""
    created_at: datetime
    """When the job was accepted."""
    updated_at: datetime
    """When it last changed."""
    finished_at: datetime | None
    """When it ended."""
    progress: Progress
    """How far it is."""
    waiting: Waiting | None
    """Set while a `processing` job waits, mostly for Google's quota."""
    error: ProblemView | None
    """Why it failed, or why it needs a token."""
    token: TokenView | None = None
    """Known once Google has been asked about the token, or when there is a refresh token."""
    estimate: Estimate | None = None
    """Null while nothing can be said: before the first pages, while the job is paused, and after its end."""


class JobList(View):
    """A page of jobs, the newest first."""

    jobs: list[JobView]
    next_cursor: str | None


class Totals(View):
    """What Google says about a location's reviews as a whole."""

    total: int | None
    """Google's newest `totalReviewCount`; null before the first page."""
    average: float | None
    """Google's newest `averageRating`."""


class LocationView(View):
    """A location of a job."""

    account: str
    """`accounts/{id}`: the account it is read under."""
    location: str
    """`locations/{id}`."""
    title: str
    """Its name on Google."""
    totals: Totals
    """What Google says."""
    fetched: Count
    """Reviews kept."""
    state: LocationState
    """`waiting` (or being read), `done`, `unavailable` (Google does not give its reviews) or `dead` (given up)."""
    cause: str | None
    """Why it is unavailable or dead, or was not read to its end; a machine's word."""
    gap: int | None
    """`totals.total` minus `fetched` where the two still differ at the end; null where they do not."""
    gap_reason: str | None
    """Why not everything is there, in a sentence for people; null where everything is, or the location still waits."""


class LocationList(View):
    """A page of a job's locations, by name."""

    locations: list[LocationView]
    next_cursor: str | None


class ReviewView(View):
    """A review, as in NDJSON lines, JSON pages and the feed; CSV has the same columns without `raw`."""

    job_id: str
    """The job that fetched it."""
    account: str
    """`accounts/{id}`: the account its location was read under."""
    location: str
    """`locations/{id}`."""
    review_id: str
    """Google's id, unique within the location."""
    name: str
    """Google's resource name, `accounts/{a}/locations/{l}/reviews/{r}`."""
    rating: Annotated[int, Field(ge=1, le=5)] | None
    """1 to 5 stars; null when Google gave none."""
    comment: str | None
    """The text, if any."""
    reviewer: str | None
    """The reviewer's display name, if any."""
    create_time: str | None
    """As Google wrote it (RFC 3339)."""
    update_time: str | None
    """As Google wrote it (RFC 3339)."""
    reply: str | None
    """The text of the owner's reply, if any."""
    raw: dict[str, Any]
    """Google's object, unknown fields included."""


class ReviewList(View):
    """A page of a job's reviews, by location and review id."""

    reviews: list[ReviewView]
    next_cursor: str | None


class FeedPage(View):
    """Reviews of all jobs in the order in which they were stored."""

    reviews: list[ReviewView]
    next_cursor: str
    """Pass it as `after`, now or later, to go on behind this page."""
    more: bool
    """Whether there is more to read at once. False: ask again later."""


class DeadLetterView(View):
    """A piece of work that was given up."""

    id: int
    """For a redrive."""
    job_id: str
    """Its job."""
    stage: str
    """`accounts`, `locations` or `reviews`: what was being listed; `review`: one that was too large; `item`: one of a
    list that had no name."""
    resource: str
    """What it was about, e.g. `locations/{id}`."""
    cause: str
    """A machine's word for the cause."""
    detail: str
    """What happened."""
    attempts: Count
    """Failed attempts in a row."""
    cursor: str | None
    """Google's page token of the page that could not be read; a redrive goes on there."""
    created_at: datetime
    """When it was given up."""
    redrives: Count
    """How often it was redriven before."""
    parked: bool = False
    """Whether that was `DLQ_MAX_REDRIVES` times: it is tried again only by a redrive that includes what is parked."""
    redriven_at: datetime | None = None
    """When it was tried again; null while nobody has."""


class DeadLetterList(View):
    """A page of dead letters, the newest first."""

    items: list[DeadLetterView]
    next_cursor: str | None


class DeadLetterHistory(DeadLetterView):
    """A dead letter, with how the same piece of work was given up before."""

    earlier: list[DeadLetterView]
    """The newest first."""


class CauseView(View):
    """The dead letters of one cause that were not tried again since."""

    cause: str
    """A machine's word."""
    title: str
    """The same in a few words."""
    count: Count
    """How many there are."""
    parked: Count
    """Of these: redriven so often that they are left out of a redrive."""
    oldest: datetime
    """When the first of them was given up."""
    newest: datetime
    """When the last of them was given up."""


class CauseList(View):
    """Dead letters by cause, the most frequent first."""

    causes: list[CauseView]


Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


Storable = Annotated[str, Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]
"""A body with NUL is refused as a whole, so no further check is needed."""


class DeadLetterFilter(View):
    """Which dead letters: those of a cause, of a job, of a stage, or what is named together."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=needs("anyOf", cause="string", job_id="string", stage="string")
    )

    cause: Storable | None = None
    job_id: Storable | None = None
    stage: Storable | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.cause is None and self.job_id is None and self.stage is None:
            raise ValueError("a filter names a cause, a job_id, a stage, or several of them")
        return self


def filter_of(**named: str | None) -> DeadLetterFilter | None:
    """The filter of what is named; None for nothing, which leaves nothing out."""
    return DeadLetterFilter(**named) if any(value is not None for value in named.values()) else None


class RedriveRequest(View):
    """Which dead letters to try again: exactly one of `ids`, `filter` and `all`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=needs("oneOf", ids="array", filter="object", all="boolean")
    )

    ids: Annotated[list[Number], Field(min_length=1, max_length=1000)] | None = None
    """Dead letters by their ids."""
    filter: DeadLetterFilter | None = None
    """Dead letters by cause, job and stage."""
    all: Literal[True] | None = None
    """Every dead letter of the tenant."""
    dry_run: bool = False
    """Only count what matches."""
    rate: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    """Letters a second: they become due one after another. Without it all are due at once."""
    include_parked: bool = False
    """Also those that were redriven `DLQ_MAX_REDRIVES` times already."""

    @model_validator(mode="after")
    def _names_one_way(self) -> Self:
        if sum(way is not None for way in (self.ids, self.filter, self.all)) != 1:
            raise ValueError("name exactly one of ids, filter and all")
        return self


class RedriveResult(View):
    """What a redrive did."""

    matched: Count
    """Dead letters that the request names."""
    redriven: Count
    """Of these: to be tried again. The others are parked, single reviews, or of cancelled or failed jobs."""
    parked: Count = 0
    """Of those that match: left out, because they were redriven too often already."""
