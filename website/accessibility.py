"""What Sphinx and Furo leave out for those who do not use a mouse or do not see the page. axe looks in a test."""

from typing import Any

from sphinx.application import Sphinx

AFTER_FURO = 900
"""A priority: Furo's own handler has made the navigation by then."""

MENDED = {
    "body": {
        '<div class="highlight"><pre>': '<div class="highlight"><pre tabindex="0">',  # long lines scroll, by keys too
        '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    },
    "furo_navigation_tree": {'role="heading"': 'role="heading" aria-level="2"'},
}


def mend(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Of one page."""
    for part, changes in MENDED.items():
        for there, better in changes.items():
            context[part] = context.get(part, "").replace(there, better)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("html-page-context", mend, priority=AFTER_FURO)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
