"""What a redrive may be asked for."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.models.views import RedriveRequest


@pytest.mark.parametrize(
    "body",
    [{"ids": [1, 2]}, {"filter": {"cause": "http_503"}}, {"filter": {"job_id": "a"}, "dry_run": True}, {"all": True}],
)
def test_one_way_to_name_dead_letters_is_enough(body: dict[str, Any]) -> None:
    assert RedriveRequest.model_validate(body).dry_run is body.get("dry_run", False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"ids": []},
        {"ids": [0]},
        {"ids": [2**63]},
        {"ids": [1], "all": True},
        {"filter": {}},
        {"filter": {"state": "dead"}},
        {"all": True, "limit": 5},
        {"all": True, "rate": 0},
        {"all": True, "rate": 1e-300},
        {"all": True, "rate": 1001},
        {"all": True, "rate": "inf"},
        {"all": True, "rate": "nan"},
    ],
)
def test_none_or_several_or_unknown_ways_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RedriveRequest.model_validate(body)
