"""The messages on the topics, and the envelope they travel in (DESIGN "Messages"). None of them holds a token."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.models.access import MOST_WEIGHT
from app.models.job import Stage


class Topic(StrEnum):
    """Every topic of the service."""

    FETCH_ACCOUNTS = "fetch-accounts"
    FETCH_LOCATIONS = "fetch-locations"
    FETCH_REVIEWS = "fetch-reviews"
    REVIEWS_RAW = "reviews-raw"
    DEAD_LETTERS = "review-fetcher-dlq"


TOPIC_OF = {
    Stage.ACCOUNTS: Topic.FETCH_ACCOUNTS,
    Stage.LOCATIONS: Topic.FETCH_LOCATIONS,
    Stage.REVIEWS: Topic.FETCH_REVIEWS,
}


class _WorkEvent(BaseModel):
    """What every work event says: whose task, which one, the version that makes old copies worthless, and the share
    of workers and quota that the tenant has beside others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    tenant: str = "default"
    task_id: int = Field(ge=1, le=2**63 - 1)
    version: int = Field(ge=0, le=2**63 - 1)
    weight: int = Field(default=1, ge=1, le=MOST_WEIGHT)
    created_at: str


class FetchAccountsEvent(_WorkEvent):
    """List the accounts of a job's token."""

    type: Literal["fetch_accounts"] = "fetch_accounts"


class FetchLocationsEvent(_WorkEvent):
    """List the locations of one account; `account_id` is `accounts/{id}`."""

    type: Literal["fetch_locations"] = "fetch_locations"
    account_id: str
    account_name: str = ""


class FetchReviewsEvent(_WorkEvent):
    """List the reviews of one location; `location_id` is `locations/{id}`."""

    type: Literal["fetch_reviews"] = "fetch_reviews"
    account_id: str
    location_id: str
    location_name: str = ""


WorkEvent = FetchAccountsEvent | FetchLocationsEvent | FetchReviewsEvent


class Envelope(BaseModel):
    """The guide's envelope. `timestamp` is RFC 3339; `message_id` is the same when a message is sent again.

    `schema_version` is that of the envelope and of the event in it: it changes when an older replica would misread
    them. Fields that may be ignored come without a new one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    topic: Topic
    key: str
    message: FetchAccountsEvent | FetchLocationsEvent | FetchReviewsEvent = Field(discriminator="type")
    timestamp: str
    message_id: str
