"""Mermaid's diagrams become pictures when the site is built: no script draws them, and a wrong one fails the build."""

import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import mmdr
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

THEMES = {"only-light": "neutral", "only-dark": "dark"}
"""The class by which Furo shows a picture in one of its colour schemes → Mermaid's theme for it."""

FOLDER = "_images"


class Diagram(SphinxDirective):
    """A fence of Mermaid. Who does not see the pictures opens its text."""

    has_content = True

    def run(self) -> Sequence[nodes.Node]:
        """One node, or the error that Sphinx warns of."""
        text = "\n".join(self.content)
        try:
            pictures = {name: drawn(text, theme) for name, theme in THEMES.items()}
        except ValueError as error:
            return [self.state.document.reporter.warning(f"the diagram cannot be drawn: {error}", line=self.lineno)]
        return [nodes.raw("", self._figure(text, pictures), format="html")]

    def _figure(self, text: str, pictures: dict[str, str]) -> str:
        root = "../" * self.env.docname.count("/")
        shown = "".join(self._picture(root, name, picture) for name, picture in pictures.items())
        words = f"<details><summary>The diagram as text</summary><pre tabindex=0>{escape(text)}</pre></details>"
        return f'<figure class="diagram">{shown}<figcaption>{words}</figcaption></figure>'

    def _picture(self, root: str, name: str, picture: str) -> str:
        file = f"{FOLDER}/diagram-{hashlib.sha256(picture.encode()).hexdigest()[:16]}.svg"
        path = Path(self.env.app.outdir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture, encoding="utf-8")
        label = "A diagram, described by the text around it. Its own text follows. Opens alone."
        return f'<a class="{name}" href="{root}{file}"><img src="{root}{file}" alt="{label}"></a>'


def drawn(text: str, theme: str) -> str:
    """The SVG. ValueError, with its place, for what Mermaid would not draw."""
    svg: str = mmdr.render(f'%%{{init: {{"theme": "{theme}"}}}}%%\n{text}').svg()
    return svg


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("mermaid", Diagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
