"""Commands are read out of Markdown as a reader would type them."""

from pathlib import Path

import pytest

from tests.support.markdown import Command, commands

PAGE = """# A page

```console
$ make demo
job 1 ends
$ curl -s http://127.0.0.1:8000/ \\
    -H 'X-API-Key: abc'
```

<!-- not-run: needs a Google account -->

```sh
# a comment is not a command
review-fetcher fetch --token "$TOKEN"
curl -d '{
  "access_token": "x"
}' http://127.0.0.1:8000/
cat > .env <<'EOF'
IT'S=1
EOF
```

```json
{"make": "nothing"}
```

1. In a list

   ```sh
   make test  # isn't short
   ```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_terminal_gives_what_stands_behind_its_prompts(page: Path) -> None:
    typed = [command for command in commands(page) if command.language == "console"]

    assert typed == [
        Command("make demo", 4, "console", None),
        Command("curl -s http://127.0.0.1:8000/ \\\n    -H 'X-API-Key: abc'", 6, "console", None),
    ]


def test_a_script_gives_whole_commands_however_many_lines_they_have(page: Path) -> None:
    typed = [command.text for command in commands(page) if command.marker]

    assert typed == [
        'review-fetcher fetch --token "$TOKEN"',
        'curl -d \'{\n  "access_token": "x"\n}\' http://127.0.0.1:8000/',
        "cat > .env <<'EOF'\nIT'S=1\nEOF",
    ]


def test_a_marker_belongs_to_the_block_below_it_alone(page: Path) -> None:
    markers = {command.marker for command in commands(page) if command.line >= 13}

    assert markers == {"not-run: needs a Google account", None}
    assert commands(page)[-1] == Command("make test  # isn't short", 30, "sh", None)


@pytest.mark.parametrize("page", ["```sh\nmake demo\n", "```sh\necho 'open\n```\n"])
def test_a_block_or_a_command_without_its_end_is_an_error(page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(page)

    with pytest.raises(ValueError, match=r"never closed|not complete"):
        commands(path)
