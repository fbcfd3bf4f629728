"""Links between pages, from how the repository has them to how the site does."""

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"`[^`]*`|\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:|#")


class Places(NamedTuple):
    """`pages`: path in the project → path in the site. `titles`: of each of these pages. `file`: of any other path in
    the project the place in the site, or None for a folder, which has none."""

    pages: Mapping[str, str]
    titles: Mapping[str, str]
    file: Callable[[str], str | None]


def placed(text: str, page: str, places: Places) -> str:
    """The text of `page`, with links that lead from its place in the site to the same as before."""
    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(lambda link: _placed_link(link, page, places), part) for part in parts[::2]]
    return "".join(parts)


def _placed_link(link: re.Match[str], page: str, places: Places) -> str:
    target = link["target"]
    if target is None or ELSEWHERE.match(target):
        return link[0]
    path, mark, anchor = target.partition("#")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    there = places.pages.get(whole) or places.file(whole)
    if there is None:
        return link["text"]
    words = places.titles.get(whole, link["text"]) if whole.endswith(link["text"]) else link["text"]
    return f"[{words}]({posixpath.relpath(there, posixpath.dirname(places.pages[page]) or '.')}{mark}{anchor})"
