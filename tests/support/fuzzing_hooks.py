"""Loaded by schemathesis, see `tests.support.fuzzing`."""

from typing import Any

import requests
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

UNTOLD = (
    b":problem:bad-cursor",  # which texts are cursors
    b":problem:idempotency-key-reused",  # which keys were used before
    b"gives everything: leave out",  # which parameters go together
)
"""What is said when a request is refused although it fits the document."""


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """The events of a job go on for as long as the job: what is followed here has ended."""
    if case.operation.definition.raw.get("operationId") == "follow_job":
        url = case.as_transport_kwargs()["url"].rpartition("/events")[0] + "/cancel"
        requests.post(url, headers=dict(case.headers or {}), timeout=kwargs.get("timeout", 20))


@schemathesis.hook
def filter_failure(
    _context: schemathesis.HookContext, failure: Failure, _case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """False for a refusal of what no schema can tell."""
    return not (isinstance(failure, RejectedPositiveData) and any(words in response.content for words in UNTOLD))
