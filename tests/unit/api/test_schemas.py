"""What a submission may hold: an access token, or a grant, or both. The published schema says the same."""

from contextlib import nullcontext
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from app.api.schemas import LONGEST_GRANT_PART, ReviewFetchRequest, TokenReplacement
from app.models.grant import RefreshGrant

TOKEN = {"access_token": "ya29.a-token-for-tests"}
GRANT = {"refresh_token": "1//a-secret-of-theirs", "client_id": "client-1", "client_secret": "GOCSPX-secret"}

GOOD: list[dict[str, Any]] = [TOKEN, GRANT, TOKEN | GRANT, TOKEN | GRANT | {"client_id": "  client-1 "}]

BAD: list[dict[str, Any]] = [
    {},
    {"refresh_token": GRANT["refresh_token"]},
    TOKEN | {"refresh_token": GRANT["refresh_token"]},
    TOKEN | {"client_id": "client-1"},
    {name: value for name, value in GRANT.items() if name != "client_secret"},
    GRANT | {"client_secret": ""},
    GRANT | {"client_secret": None},
    GRANT | {"access_token": None},
    GRANT | {"access_token": ""},
    GRANT | {"refresh_token": "with a space"},
    GRANT | {"refresh_token": "é" * 20},
    GRANT | {"client_id": "x" * (LONGEST_GRANT_PART + 1)},
    GRANT | {"grant": "unknown"},
]


@pytest.mark.parametrize("model", [ReviewFetchRequest, TokenReplacement])
@pytest.mark.parametrize(("body", "taken"), [*((body, True) for body in GOOD), *((body, False) for body in BAD)])
def test_the_schema_takes_what_the_service_takes(
    model: type[ReviewFetchRequest], body: dict[str, Any], taken: bool
) -> None:
    assert Draft202012Validator(model.model_json_schema()).is_valid(body) is taken
    with nullcontext() if taken else pytest.raises(ValidationError):
        model.model_validate(body)


@pytest.mark.parametrize("body", BAD)
def test_what_is_wrong_is_told_without_repeating_it(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ReviewFetchRequest.model_validate(body)
    told = str(caught.value.errors(include_input=False))
    assert not [value for value in body.values() if isinstance(value, str) and len(value) > 8 and value in told]


def test_a_grant_is_whole_or_none() -> None:
    assert ReviewFetchRequest.model_validate(TOKEN).grant is None
    assert ReviewFetchRequest.model_validate(TOKEN | GRANT).grant == RefreshGrant(**GRANT)


def test_a_request_shows_none_of_its_secrets() -> None:
    request = ReviewFetchRequest.model_validate(TOKEN | GRANT)
    for secret in (TOKEN | GRANT).values():
        assert secret not in repr(request)
        assert secret not in request.model_dump_json()
