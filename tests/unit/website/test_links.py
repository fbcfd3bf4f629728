"""A link of a page leads to the same in the site."""

import pytest

from website.links import Places, placed

PAGES = {
    "README.md": "index.md",
    "docs/api.md": "api.md",
    "docs/how-to/a.md": "how-to/a.md",
    "docs/why": "why/index.md",
}
TITLES = {"README.md": "Review Fetcher", "docs/api.md": "The API", "docs/how-to/a.md": "Do it"}
FILES = {".env.example": "files/.env.example", "docs/images/a.png": "images/a.png"}
PLACES = Places(PAGES, TITLES, FILES.get)


@pytest.mark.parametrize(
    ("page", "there", "here"),
    [
        ("README.md", "[docs/api.md](docs/api.md#errors)", "[The API](api.md#errors)"),
        ("README.md", "[how](docs/how-to/a.md)", "[how](how-to/a.md)"),
        ("docs/how-to/a.md", "[api.md](../api.md)", "[The API](../api.md)"),
        ("docs/how-to/a.md", "[back](../../README.md)", "[back](../index.md)"),
        ("docs/api.md", "[two\nlines](how-to/a.md)", "[two\nlines](how-to/a.md)"),
        ("docs/api.md", "[why](why)", "[why](why/index.md)"),
        ("docs/api.md", "a folder: [tests](../tests/).", "a folder: tests."),
        ("README.md", "![picture](docs/images/a.png)", "![picture](images/a.png)"),
        ("docs/api.md", "[example](../.env.example)", "[example](files/.env.example)"),
        ("docs/api.md", "[below](#here), [out](https://example.com/)", "[below](#here), [out](https://example.com/)"),
        (
            "docs/api.md",
            "`[code](why)` and\n```sh\n[fenced](why)\n```\n",
            "`[code](why)` and\n```sh\n[fenced](why)\n```\n",
        ),
    ],
)
def test_a_link_leads_to_the_same(page: str, there: str, here: str) -> None:
    assert placed(there, page, PLACES) == here
