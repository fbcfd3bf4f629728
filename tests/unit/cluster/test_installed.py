"""What the machine lacks is told all at once, with Debian's packages, before anything is started or fetched."""

import re
import shutil
from pathlib import Path

import pytest

from cluster import parts, proxy, watcher
from cluster.local import PROJECT, NotInstalledError, kafka, postgresql

PACKAGES = ["default-jre-headless", "maven", "postgresql", "nginx", "prometheus"]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of them, and no jars that were fetched before; the folder where they would be kept."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(postgresql, "PLACES", ())
    monkeypatch.setattr(kafka, "CACHE", tmp_path)
    return tmp_path


def told() -> list[str]:
    with pytest.raises(NotInstalledError) as raised:
        parts.check_installed()
    return str(raised.value).splitlines()


@pytest.mark.usefixtures("bare")
def test_all_that_is_missing_is_told_in_one_message_with_the_packages() -> None:
    *each, last = told()
    assert [line.rpartition(" ")[2] for line in each] == PACKAGES
    assert last == f"All at once: apt-get install --no-install-recommends {' '.join(PACKAGES)}"


def test_maven_is_not_asked_for_where_the_jars_are(bare: Path) -> None:
    kafka.kept_jars().mkdir()
    assert "maven" not in " ".join(told())
    assert [path.name for path in bare.iterdir()] == [kafka.kept_jars().name]


def test_one_that_is_missing_is_told_alone(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, look in ((kafka, "find_java"), (postgresql, "find_binaries"), (watcher, "find_prometheus")):
        monkeypatch.setattr(module, look, lambda: bare)
    kafka.kept_jars().mkdir()
    (line,) = told()
    assert line == proxy.INSTALL


def test_nothing_is_fetched_while_anything_is_missing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "find_maven", lambda: "mvn")
    assert "maven" not in " ".join(told())
    assert list(bare.iterdir()) == []


def test_the_page_names_the_same_packages() -> None:
    page = (PROJECT / "docs/cluster.md").read_text()
    (line,) = re.findall(r"^apt-get install --no-install-recommends (.+)$", page, re.MULTILINE)
    assert line.split() == PACKAGES
