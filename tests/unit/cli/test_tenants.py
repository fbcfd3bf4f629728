"""`review-fetcher tenants` over the store of DATABASE_URL."""

import json

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture
def store(run: Run) -> Run:
    assert run("migrate").code == 0
    return run


def test_settings_are_set_shown_and_given_back(store: Run) -> None:
    assert store("tenants", "set", "acme", "--weight", "3", "--max-open-jobs", "5").code == 0
    told = store("tenants", "set", "acme", "--drop-reviewers", "--retention-days", "30").err
    assert "weight 3, max_open_jobs 5, retention_days 30, drop_reviewers True" in told
    shown = json.loads(store("tenants", "show", "acme", "--json").out)
    assert (shown["weight"], shown["max_open_jobs"], shown["submits_per_minute"]) == (3, 5, 0)
    (listed,) = json.loads(store("tenants", "list", "--json").out)
    assert (listed["tenant"], listed["submits_per_minute"]) == ("acme", None)
    assert "weight 3" not in store("tenants", "unset", "acme", "--weight").err
    assert "as the service" in store("tenants", "unset", "acme").err
    assert "No tenant has settings" in store("tenants", "list").err


@pytest.mark.parametrize(
    "words",
    [
        ["set", "Acme", "--weight", "2"],
        ["set", "acme"],
        ["set", "acme", "--weight", "0"],
        ["unset", "a/b"],
        ["show", "é"],
    ],
)
def test_what_makes_no_sense_is_refused(store: Run, words: list[str]) -> None:
    assert store("tenants", *words).code == 2
