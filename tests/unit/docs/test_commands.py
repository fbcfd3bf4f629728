"""What the pages tell a reader to type is run by a test, or says why not; and what it names is there."""

import re
import shlex

from tests.support.markdown import LANGUAGES, Command, commands
from tests.support.pages import EACH_PAGE, PROJECT, blocks_of, text_of
from tests.support.transcripts import NOT_RUN, is_left_out

RUNS = re.compile(r"^from tests\.support\.(transcripts|runbooks) import", re.MULTILINE)
"""What a test needs to run what a reader types."""

SOURCES = {path.name: path.read_text() for path in (PROJECT / "tests/flows").glob("test_*.py")}


def runners_of(page: str) -> list[str]:
    """The tests that run the commands of a page: they name it, and have what runs commands."""
    return [name for name, source in SOURCES.items() if f'"{page}"' in source and RUNS.search(source)]


def unmarked(page: str) -> list[str]:
    """The first lines of the blocks with commands that somebody has to run."""
    blocks = [block for block in blocks_of(page) if block.language in LANGUAGES and not is_left_out(block)]
    return [block.lines[0] for block in blocks]


@EACH_PAGE
def test_every_block_of_commands_is_run_by_a_test_or_says_why_not(page: str) -> None:
    """Run the page in a test, all of it, by `run_shown`; or write `<!-- not-run: the reason -->` above the block."""
    assert runners_of(page) or unmarked(page) == []


def test_a_page_that_nobody_runs_would_be_seen() -> None:
    assert runners_of("docs/operating.md") == ["test_docs_operating.py"]
    assert unmarked("docs/operating.md")
    assert runners_of("docs/nobody.md") == []


@EACH_PAGE
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    markers = [command.marker for command in commands(PROJECT / page) if command.marker]
    assert [marker for marker in markers if marker.startswith("not-run") and len(reason(marker).split()) < 2] == []


def reason(marker: str) -> str:
    return marker.removeprefix(NOT_RUN).strip() if marker.startswith(NOT_RUN) else ""


@EACH_PAGE
def test_a_reason_names_only_tests_that_are_there(page: str) -> None:
    named = [path for block in blocks_of(page) for path in re.findall(r"tests/[\w/]+\.py", block.marker or "")]
    assert [path for path in named if not (PROJECT / path).exists()] == []


def words(command: Command) -> list[str]:
    return shlex.split(command.text, comments=True)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))


@EACH_PAGE
def test_every_make_command_of_a_page_is_a_target(page: str) -> None:
    typed = [words(command) for command in commands(PROJECT / page)]
    targets = [word for first, *rest in typed if first == "make" for word in rest if "=" not in word]
    assert set(targets) <= make_targets()


@EACH_PAGE
def test_every_script_that_a_page_runs_is_there(page: str) -> None:
    text = " ".join(command.text for command in commands(PROJECT / page))
    scripts = re.findall(r"\b(?:scripts|deploy|bench)/[\w./-]*\w", text)
    assert [script for script in scripts if not (PROJECT / script).exists()] == []


def test_make_help_lists_every_command_that_a_person_types() -> None:
    documented = set(re.findall(r"^([a-z-]+):.* ## ", text_of("Makefile"), re.MULTILINE))
    internal = {"help", "runtime", "check-static", "unit"}
    assert make_targets() - internal == documented - {"help"}
