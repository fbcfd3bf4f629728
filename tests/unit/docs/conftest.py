"""The pages speak of a service that is not configured."""

import pytest

from app.config import Settings, variables


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in variables(Settings):
        monkeypatch.delenv(variable.name, raising=False)
