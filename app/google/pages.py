"""One page of each list, as the client returns it."""

from typing import NamedTuple

from app.models.review import Account, Location, Review


class AccountsPage(NamedTuple):
    """Up to 20 accounts. `next_page_token` is None on the last page.

    `odd` counts items without a name a path can be built from: they are left out, and it is for the caller to say so.
    """

    accounts: list[Account]
    next_page_token: str | None
    odd: int = 0


class LocationsPage(NamedTuple):
    """Up to 100 locations of one account; `next_page_token` and `odd` as in `AccountsPage`."""

    locations: list[Location]
    next_page_token: str | None
    odd: int = 0


class ReviewsPage(NamedTuple):
    """Up to 50 reviews of one location, newest update first. No item is ever left out.

    `total` (totalReviewCount) and `average` (1 to 5) speak of the whole location; None when Google gave none or
    something absurd. A first page that is `{}` is how Google says "no reviews": total 0.
    """

    reviews: list[Review]
    total: int | None
    average: float | None
    next_page_token: str | None


class FreshToken(NamedTuple):
    """An access token that Google gave for a grant, and how many seconds it lives (None: not told).

    `refresh_token` is the one to ask with the next time, when Google replaces the one that was asked with.
    """

    access_token: str
    expires_in: int | None
    refresh_token: str | None


class TokenInfo(NamedTuple):
    """Whose quota a token spends, and how many seconds it has left to live; None where Google did not say."""

    project: str | None
    expires_in: int | None
