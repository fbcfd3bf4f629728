"""What goes wrong, as data: rules by probability or script, a hard quota, and two presets.

A rule in JSON is flat: `{"fault": "rate_limited", "api": "reviews", "after": 3, "times": 2, "retry_after": 1}`.
"""

from typing import Any, Literal, Self

import msgspec

from app.simulator.calls import Api


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """Which calls a fault hits.

    Without `api`: accounts, locations and reviews (never tokeninfo and token). `path` is a part of the path, `token`
    a fingerprint as in the ledger, `paged` true or false: only calls with or without a page token.
    Of the calls that match, the first `after` go untouched, then each is hit with `probability`, at most `times` times.
    """

    api: Api | None = None
    path: str = ""
    token: str = ""
    paged: bool | None = None
    probability: float = 1.0
    after: int = 0
    times: int | None = None

    @property
    def name(self) -> str:
        """The `fault` of the JSON form."""
        return str(self.__struct_config__.tag)


class Ending(Rule, frozen=True):
    """A fault that takes the place of the answer, or spoils it: at most one per call."""


class RateLimited(Ending, frozen=True, tag="rate_limited"):
    """429.

    `retry_after` in seconds (sent as an HTTP-date with `as_date`), `retry_delay` in seconds goes into RetryInfo,
    `limit` is the quota_limit_value; 0: the project was never approved.
    """

    retry_after: float | None = None
    as_date: bool = False
    retry_delay: float | None = None
    limit: int = 300


class Forbidden(Ending, frozen=True, tag="forbidden"):
    """403."""

    reason: Literal[
        "PERMISSION_DENIED",
        "SERVICE_DISABLED",
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "rateLimitExceeded",
        "userRateLimitExceeded",
    ] = "PERMISSION_DENIED"


class Failure(Ending, frozen=True, tag="failure"):
    """Any error status, with Google's JSON, a front end's HTML, or nothing in the body."""

    status: Literal[400, 401, 403, 404, 500, 501, 502, 503, 504] = 503
    body: Literal["json", "html", "empty"] = "json"


class ExpiredToken(Ending, frozen=True, tag="expired_token"):
    """401, now and for every further call with the same token; of the token endpoint: invalid_grant."""


class RefusedPageToken(Ending, frozen=True, tag="refused_page_token"):
    """400 for a page token that was good; hits calls with a page token only."""


class Cut(Ending, frozen=True, tag="cut"):
    """The connection closes after this share of the body."""

    share: float = 0.5


class InvalidJson(Ending, frozen=True, tag="invalid_json"):
    """200 with JSON that breaks off, but with a correct length."""


class EmptyBody(Ending, frozen=True, tag="empty_body"):
    """200 and not one byte."""


class EmptyObject(Ending, frozen=True, tag="empty_object"):
    """200 and `{}`: a list that ends here, without its items and its total."""


class Hang(Ending, frozen=True, tag="hang"):
    """No answer for `seconds`; without them until the client or the simulator closes. Then the usual answer."""

    seconds: float | None = None


class Hold(Rule, frozen=True, tag="hold"):
    """The call waits until it is released (`POST /_sim/release`), then gets its answer."""


class Latency(Rule, frozen=True, tag="latency"):
    """`seconds` and up to `jitter` seconds more before the answer."""

    seconds: float = 0.0
    jitter: float = 0.0


class Overlap(Rule, frozen=True, tag="overlap"):
    """The next page starts `count` items before the end of this one; with the page size, it repeats this page.

    A last page has no next one: there it changes nothing.
    """

    count: int = 5


class LoopingPageToken(Rule, frozen=True, tag="looping_page_token"):
    """nextPageToken leads to this same page again; with a page token given, it is the same token."""


class Mutate(Rule, frozen=True, tag="mutate"):
    """Before a reviews.list is answered its location changes: newest deleted, oldest edited (to the top), new ones."""

    insert: int = 0
    edit: int = 0
    delete: int = 0


class Distort(Rule, frozen=True, tag="distort"):
    """The first `count` reviews of the page (all without it) become strange; their ids stay.

    oversized: a comment of `size` bytes · unknown_fields · missing_rating · unknown_rating: a word that is none ·
    wrong_types: numbers for strings and the reverse · bad_text: NUL and a lone surrogate in texts.
    """

    what: Literal["oversized", "unknown_fields", "missing_rating", "unknown_rating", "wrong_types", "bad_text"]
    count: int | None = None
    size: int = 1_000_000


AnyRule = (
    RateLimited | Forbidden | Failure | ExpiredToken | RefusedPageToken | Cut | InvalidJson | EmptyBody
    | EmptyObject | Hang | Hold | Latency | Overlap | LoopingPageToken | Mutate | Distort
)  # fmt: skip


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls allowed per API and Google project in a window; a call beyond it gets 429. None: not limited."""

    accounts: int | None = None
    locations: int | None = None
    reviews: int | None = None
    seconds: float = 60.0
    window: Literal["sliding", "fixed"] = "sliding"
    retry_after: float | None = None


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that goes wrong. `Faults()` is a Google without faults.

    A rule with a probability below 1 never ends more than `most_in_a_row` calls for the same page one after the other,
    so that a client with that many retries survives. `unverified_status`: how reviews.list answers for a location
    without voice of merchant (200 is `{}`; what Google really does is not documented).
    """

    seed: int = 1
    rules: tuple[AnyRule, ...] = ()
    quota: Quota | None = None
    most_in_a_row: int = 2
    unverified_status: Literal[200, 400, 403, 404] = 200

    @classmethod
    def good(cls) -> Self:
        """Nothing goes wrong."""
        return cls()

    @classmethod
    def flaky(cls, seed: int = 1) -> Self:
        """A bad day at Google that a correct client always survives, without long waits."""
        return cls(seed=seed, rules=_FLAKY)

    @classmethod
    def preset(cls, name: str, seed: int = 1) -> Self:
        """`good` or `flaky`. Raises ValueError for another name."""
        if name not in ("good", "flaky"):
            raise ValueError(f"no preset {name!r}: use good or flaky")
        return cls.flaky(seed) if name == "flaky" else cls.good()

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Faults from JSON; `{"preset": "flaky", "seed": 3}` also works. Raises ValueError with what is wrong."""
        plain: Any = msgspec.json.decode(text)
        if isinstance(plain, dict) and "preset" in plain:
            return cls.preset(str(plain["preset"]), int(plain.get("seed", 1)))
        return msgspec.convert(plain, cls)


def parse_rules(text: str | bytes) -> tuple[AnyRule, ...]:
    """One rule, or a list of them, from JSON. Raises ValueError with what is wrong."""
    plain: Any = msgspec.json.decode(text)
    return msgspec.convert(plain if isinstance(plain, list) else [plain], tuple[AnyRule, ...])


_FLAKY: tuple[AnyRule, ...] = (
    Latency(jitter=0.005),
    RateLimited(probability=0.01, retry_after=0),
    RateLimited(probability=0.01),
    RateLimited(probability=0.01, retry_delay=0.05),
    Forbidden(probability=0.005, reason="userRateLimitExceeded"),
    Failure(probability=0.02, status=500),
    Failure(probability=0.02, status=503),
    Failure(probability=0.01, status=502, body="html"),
    Cut(probability=0.02),
    InvalidJson(probability=0.01),
    EmptyBody(probability=0.005),
    Overlap(probability=0.05, count=7),
)
