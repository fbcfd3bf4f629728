"""Fixtures and the closing table of every test run."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import website
from tests.support.adapters import count, describe
from tests.support.services import Services, fresh_database, postgresql_version
from tests.support.sweeping import sweep_postgresql

SERVICES = pytest.StashKey[Services]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVICES] = Services.from_environment()


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Iterator[Services]:
    services = pytestconfig.stash[SERVICES]
    yield services
    services.end()


@pytest.fixture(scope="session")
def postgresql_url(services: Services) -> str:
    """A real PostgreSQL's maintenance database. Tests want `postgresql_database`."""
    return services.locate("postgresql")


@pytest.fixture(scope="session")
def kafka_bootstrap_servers(services: Services) -> str:
    """A real Kafka. Topics are not created by themselves, and other tests use it too: take names of your own."""
    servers = services.locate("kafka")
    services.versions["kafka"] = f"Kafka {services.started_version('kafka', servers) or '(not ours)'}"
    return servers


@pytest.fixture(scope="session")
def documentation_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the documentation site, built once for all tests. A warning of the build is an error."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    built = website.build(folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def postgresql_database(services: Services, postgresql_url: str) -> Iterator[str]:
    """The URL of an empty database for one test."""
    if "postgresql" not in services.versions:
        services.versions["postgresql"] = postgresql_version(postgresql_url)
    with fresh_database(postgresql_url) as url:
        yield url
        sweep_postgresql(url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = count(terminalreporter.stats)
    if any(counts.values()):
        versions = {"sqlite": f"SQLite {sqlite3.sqlite_version}"} | config.stash[SERVICES].versions
        terminalreporter.section("tests for each adapter")
        for line in describe(counts, versions):
            terminalreporter.write_line(line)
