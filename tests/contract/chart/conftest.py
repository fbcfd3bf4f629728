"""Each combination of values is rendered once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.chart.combinations import COMBINATIONS
from tests.support.chart import Object, helm_program, render


@pytest.fixture(scope="session")
def every_rendering() -> dict[str, list[Object]]:
    helm_program()
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(COMBINATIONS, threads.map(render, COMBINATIONS.values()), strict=True))


@pytest.fixture(params=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(combination: str, every_rendering: dict[str, list[Object]]) -> list[Object]:
    """All that is applied with one combination of values."""
    return every_rendering[combination]
