"""Which locations of a job, and what they come to."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from app.models.job import LocationState
from app.models.views import Count, View


def _possible_account(text: str) -> str:
    if not text.startswith("accounts/"):
        raise ValueError("an account is named accounts/{id}")
    return text


Account = Annotated[
    str, Field(max_length=500, json_schema_extra={"pattern": "^accounts/"}), AfterValidator(_possible_account)
]


class LocationFilter(View):
    """Which locations: those to which everything that is set applies. Nothing set: all of them."""

    model_config = ConfigDict(extra="forbid")

    account: Account | None = None
    """Locations that are read under this account, `accounts/{id}`."""
    state: LocationState | None = None
    """Locations in this state."""
    gaps: bool = False
    """Only locations of which not everything is there: with a gap, unavailable or dead. Each has its `gap_reason`."""


ALL_LOCATIONS = LocationFilter()


class Reconciliation(View):
    """What a job fetched against what Google counts, over all its locations.

    `locations` = complete + with_gap + unavailable + dead + waiting; `fetched` = expected - missing + surplus.
    """

    whole: bool
    """The job is completed and every location is complete: nothing is missing."""
    locations: Count
    """Locations that Google listed."""
    complete: Count
    """Of these: read to the end, and with as many reviews as Google counts."""
    with_gap: Count
    """Read to the end, and with fewer or more reviews than Google counts."""
    unavailable: Count
    """Google does not give their reviews."""
    dead: Count
    """Given up; see the dead letters."""
    waiting: Count
    """Still to be read, or being read; at the end of a job that failed or was cancelled: never read to the end."""
    unlisted_accounts: Count
    """Accounts whose locations were not all listed, or not yet: there may be more locations."""
    expected: Count
    """The sum of Google's newest `totalReviewCount`."""
    fetched: Count
    """Reviews kept."""
    missing: Count
    """How many fewer reviews than Google counts the locations have that have fewer."""
    surplus: Count
    """How many more reviews than Google counts the locations have that have more."""
