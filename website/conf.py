"""What Sphinx reads. No script, font or picture comes from another host: the site works without a network."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

project = "Review Fetcher"
version = release = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
copyright = "the authors of Review Fetcher"  # noqa: A001 (the name is Sphinx's)
show_authors = html_show_copyright = html_show_sphinx = False
html_copy_source = html_show_sourcelink = False

extensions = ["myst_parser", "website.accessibility", "website.diagrams"]
myst_heading_anchors = 6
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # `…` stands in examples of JSON, for what differs from run to run

html_theme = "furo"
html_title = "Review Fetcher"
html_static_path = ["static"]
html_favicon = str(PROJECT / "app/console/static/icon.svg")
html_css_files, html_js_files = ["site.css"], ["site.js"]
html_theme_options = {"navigation_with_keys": True}
