"""Fixtures and the closing table of every test run."""

import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import website
from tests.support.adapters import count, describe
from tests.support.services import Services, fresh_database, postgresql_version
from tests.support.sweeping import sweep_postgresql

SERVICES = pytest.StashKey[Services]()

if "CI" not in os.environ:
    # A busy machine is no failure. With CI set, hypothesis does without deadlines itself, and without chance.
    settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("here")


def pytest_configure(config: pytest.Config) -> None:
    named = getattr(config, "workerinput", {}).get("services")
    config.stash[SERVICES] = Services.from_environment() if named is None else Services.of_worker(named)


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
def documentation_site(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the documentation site, built once for all tests. A warning of the build is an error."""
    own = tmp_path_factory.getbasetemp()
    return website.built_once(own.parent if hasattr(pytestconfig, "workerinput") else own)


@pytest.fixture
def postgresql_database(services: Services, postgresql_url: str) -> Iterator[str]:
    """The URL of an empty database for one test."""
    if "postgresql" not in services.versions:
        services.versions["postgresql"] = postgresql_version(postgresql_url)
    with fresh_database(postgresql_url) as url:
        yield url
        sweep_postgresql(url)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Workers send reports as UTF-8, and some tests print what is none: a lone surrogate in a hostile text."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist inherits an environment that the settings were taken out of."""
    node.workerinput["services"] = node.config.stash[SERVICES].named


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The closing table is written where no test ran: a worker says which versions it met."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["versions"] = session.config.stash[SERVICES].versions


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[SERVICES].versions.update(getattr(node, "workeroutput", {}).get("versions", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = count(terminalreporter.stats)
    if any(counts.values()):
        versions = {"sqlite": f"SQLite {sqlite3.sqlite_version}"} | config.stash[SERVICES].versions
        terminalreporter.section("tests for each adapter")
        for line in describe(counts, versions):
            terminalreporter.write_line(line)
