"""Every diagram of the pages is drawn, as Mermaid would."""

from xml.etree import ElementTree

import pytest

from tests.support.pages import PAGES, blocks_of, named
from website.diagrams import THEMES, drawn

DIAGRAMS = [
    pytest.param("\n".join(block.lines), id=f"{named(page)}-{block.first_line}")
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "mermaid"
]


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_a_diagram_of_a_page_is_drawn_in_both_colour_schemes(diagram: str) -> None:
    light, dark = (drawn(diagram, theme) for theme in THEMES.values())
    assert ElementTree.fromstring(light).tag == ElementTree.fromstring(dark).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 (drawn here)
    assert light != dark


@pytest.mark.parametrize(
    "wrong", ["flowchart LR\n  a[ --> b", "sequenceDiagram\n  loop page\n    A->>B: x", "no diagram"]
)
def test_a_diagram_that_mermaid_would_refuse_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"Diagram parse error|No Mermaid diagram"):
        drawn(wrong, "neutral")
