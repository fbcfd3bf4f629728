"""The documentation site, built as `make site` builds it, and what its pages load and link to."""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tests.support.pages import PROJECT

LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "srcset"), ("link", "href")}
"""What a browser fetches by itself. Anything else that has an address is a link to follow."""

LONGEST_SECONDS = 200.0
"""Only ends a build that hangs."""


def build(output: Path, project: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """The site of a project, built into `output`: in a process of its own, like `make site`."""
    return subprocess.run(
        [sys.executable, "-m", "website", str(output), str(project)],
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )


def built_once(folder: Path) -> Path:
    """The site in a folder that several workers share: whoever comes first builds it, the others wait."""
    site, unfinished = folder / "documentation", folder / "documentation.unfinished"
    with (folder / "documentation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.exists():
            built = build(unfinished)
            assert built.returncode == 0, built.stderr
            unfinished.rename(site)
    return site


class Address(NamedTuple):
    """An address on a page. `loads`: the browser fetches it, as against a link that a reader follows."""

    page: Path
    address: str
    loads: bool

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def target(self) -> tuple[Path, str]:
        """The file in the site that it leads to, and the anchor in it ("" for none)."""
        parts = urlsplit(self.address)
        path = self.page.parent / unquote(parts.path) if parts.path else self.page
        return path.resolve(), unquote(parts.fragment)


class Page(HTMLParser):
    """The addresses and the anchors of an HTML page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.addresses: list[Address] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src", "srcset") and value:
                self.addresses.append(Address(self.path, value, (tag, name) in LOADS))


def pages_of(site: Path) -> Iterator[Page]:
    """Every page of the built site."""
    yield from map(Page, sorted(site.rglob("*.html")))
