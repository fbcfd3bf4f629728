"""Links of every page: between pages they lead to a file and a heading, out of the project to a host that is known."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.pages import EACH_PAGE, HOSTS, PAGES, PROJECT, prose_of

LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)|<(https?://[^>\s]+)>")


def links_of(page: str) -> list[str]:
    return [inline or bare for inline, bare in LINK.findall(prose_of(page))]


def is_external(link: str) -> bool:
    return re.match(r"[a-z]+:", link) is not None


@EACH_PAGE
def test_every_link_between_pages_leads_to_a_file_and_a_heading(page: str) -> None:
    links = [link for link in links_of(page) if not is_external(link)]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = ((PROJECT / page).parent / path).resolve() if path else PROJECT / page
    if not target.exists() or not target.is_relative_to(PROJECT):
        return False
    return not anchor or anchor in set(anchors(target))


def anchors(page: Path) -> Iterator[str]:
    """As GitHub makes them: the second heading of the same words gets a number."""
    seen = Counter[str]()
    for heading in re.findall(r"^#+ (.+)$", prose_of(page.relative_to(PROJECT).as_posix()), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def test_links_lead_only_to_hosts_that_are_known() -> None:
    """No test follows them: tests need no network."""
    external = {link for page in PAGES for link in links_of(page) if is_external(link)}
    assert {urlsplit(link).netloc for link in external} <= HOSTS.keys()
    assert [link for link in external if urlsplit(link).scheme != "https" and "127.0.0.1" not in link] == []
