"""Each combination of values is rendered once."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.chart.combinations import COMBINATIONS
from tests.support.api_server import api_server
from tests.support.chart import BUILD_SECONDS, Object, helm_program, render
from tests.support.installer import Installer


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Whoever comes first waits until Helm is built."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


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


@pytest.fixture
def installer(tmp_path: Path) -> Iterator[Installer]:
    kubeconfig = tmp_path / "kubeconfig"
    with api_server(kubeconfig) as cluster:
        yield Installer(cluster, kubeconfig)
