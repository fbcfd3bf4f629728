"""What is shown of a tenant's work as a whole, of a job's accounts, and of the settings in force."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from app.models.job import JobStatus, Stage
from app.models.views import CauseView, Count, ProblemView, View


class ActivityMinute(View):
    """What was done in one minute, by all replicas together."""

    minute: datetime
    """When it began."""
    reviews: Count
    """Reviews stored."""
    calls: Count
    """Calls of Google that count against a quota, failed ones included."""
    throttled: Count
    """Of these: Google answered that the quota is spent."""


class OldestWaiting(View):
    """The work of running jobs that is due and has waited longest: for a worker, or for quota (`waiting_jobs`)."""

    job_id: str
    stage: Stage
    """What is to be listed."""
    resource: str
    """Of what, e.g. `locations/{id}`."""
    since: datetime
    """When it became due."""
    seconds: float
    """How long ago that is."""


class WaitingJob(View):
    """A running job of which nothing moves just now."""

    job_id: str
    reason: str
    """A sentence for people."""
    until: datetime
    """When the job goes on by itself."""


class TokenlessJob(View):
    """A job that waits for a new access token."""

    job_id: str
    since: datetime
    """When it began to wait."""
    error: ProblemView | None
    """What is wrong with the token it had."""


class Unpublished(View):
    """Reviews that are stored and not on the topic `reviews-raw` yet."""

    reviews: Count
    """How many. Beyond a million, of all tenants together, no more are counted."""
    seconds: float
    """For how long the first of them has been stored."""


class Overview(View):
    """A tenant's work at a glance."""

    jobs: dict[JobStatus, Count]
    """Every state with its number of jobs."""
    activity: list[ActivityMinute]
    """The last 60 minutes, the one that runs last; none is left out. Some seconds behind; for charts."""
    reviews_per_minute: float
    """Reviews stored in a minute, over the last 5 full ones."""
    oldest_waiting: OldestWaiting | None
    """Null while nothing is due. Looked for in the running jobs that were submitted first."""
    waiting_jobs: list[WaitingJob]
    """Up to 10 jobs that wait, mostly for Google's quota, among the running ones that were submitted first."""
    needs_token: list[TokenlessJob]
    """Up to 10 jobs that wait for a token, those submitted last."""
    dead_letters: list[CauseView]
    """Dead letters by cause, the most frequent first."""
    unpublished: Unpublished | None
    """Null without Kafka."""
    generated_at: datetime
    """The store's time of all this."""


class AccountState(StrEnum):
    """What became of an account: its listing of locations waits, is being read, is done, or was given up."""

    WAITING = "waiting"
    LISTING = "listing"
    DONE = "done"
    DEAD = "dead"


class AccountLocations(View):
    """The locations that are read under an account; one that several accounts list counts under one of them."""

    found: Count
    """Listed so far."""
    done: Count
    """Of these: all reviews read."""
    unavailable: Count
    """Of these: Google does not give reviews."""
    dead: Count
    """Of these: given up; see the dead letters."""


class AccountReviews(View):
    """The reviews of these locations."""

    fetched: Count
    """Reviews kept."""
    expected: Count
    """The sum of Google's newest `totalReviewCount` of every location read so far."""


class AccountView(View):
    """An account of a job."""

    account: str
    """`accounts/{id}`."""
    title: str
    """Its name on Google."""
    state: AccountState
    """Of the listing of its locations: `waiting`, `listing` (in the middle of it), `done` or `dead` (given up)."""
    locations: AccountLocations
    reviews: AccountReviews


class AccountList(View):
    """A page of a job's accounts, by name."""

    accounts: list[AccountView]
    next_cursor: str | None


class SettingView(View):
    """A setting as it is in force."""

    name: str
    """The variable."""
    value: str
    """As one would write it; of a secret only `set` or `not set`, of DATABASE_URL no password."""
    default: str
    """As one would write it; empty for none."""
    source: Literal["set", "default"]
    """Whether somebody has set it."""
    secret: bool
    """Whether its value is hidden. It can also be given as `*_FILE`."""
    description: str
    """What it does."""


class SettingList(View):
    """Every setting, in the order of docs/configuration.md."""

    settings: list[SettingView]
