"""Loaded by schemathesis, see `tests.support.fuzzing`."""

from typing import Any

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

UNTOLD = (
    b":problem:bad-cursor",  # which texts are cursors
    b":problem:idempotency-key-reused",  # which keys were used before
    b'should be greater than or equal to 60"',  # how long `30s` is
    b'should be less than or equal to 3155760000"',  # how long `9999999w` is
    b"the name holds characters",  # lone surrogates
    b"`review` is a name like",  # which text names a review
    b"gives everything: leave out",  # which parameters go together
)
"""What is said when a request is refused although it fits the document."""


WORDS = {"cause", "job_id", "stage"}
"""Parameters that are any text: what no letter has matches none."""


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """The events of a job go on for as long as the job: what is followed here has ended."""
    if case.operation.definition.raw.get("operationId") == "follow_job":
        url = case.as_transport_kwargs()["url"].rpartition("/events")[0] + "/cancel"
        requests.post(url, headers=dict(case.headers or {}), timeout=kwargs.get("timeout", 20))


@schemathesis.hook
def filter_failure(
    _context: schemathesis.HookContext, failure: Failure, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """False for a refusal of what no schema can tell."""
    if isinstance(failure, AcceptedNegativeData):
        return not _is_text_in_a_url(case)
    return not (isinstance(failure, RejectedPositiveData) and any(words in response.content for words in UNTOLD))


def _is_text_in_a_url(case: schemathesis.Case[Any]) -> bool:
    """In a URL a list of one number is a text like any other (`job_id=[-2.5]`), and these three take every text."""
    given = {name: value for name, value in (case.query or {}).items() if name in WORDS}
    return case.method == "GET" and any(not isinstance(value, str) for value in given.values())
