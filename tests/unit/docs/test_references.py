"""What the pages name of the project is there: files, tests, commands, settings."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from app.cli.entry import application
from app.cli.reference import commands
from app.config import Settings, variables
from tests.support.markdown import commands as typed_commands
from tests.support.pages import EACH_PAGE, MADE, PROJECT, inline_code_of

FOLDERS = [".ci", *sorted(path.name for path in PROJECT.iterdir() if path.is_dir() and path.name[0] != ".")]
PATH = re.compile(rf"((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]+?)/?(?:::(\w+))?")
SETTING = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?")
MADE_BY_COMMANDS = tuple(f"{folder}/" for folder in MADE)


def is_there(path: str) -> bool:
    return path.startswith(MADE_BY_COMMANDS) or any(PROJECT.glob(path))


@EACH_PAGE
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    found = filter(None, map(PATH.fullmatch, inline_code_of(page)))
    assert [path[1] for path in found if not is_there(path[1])] == []


@EACH_PAGE
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    found = [path for path in filter(None, map(PATH.fullmatch, inline_code_of(page))) if path[2]]
    assert [path[0] for path in found if f"def {path[2]}(" not in (PROJECT / path[1]).read_text()] == []


@EACH_PAGE
def test_every_make_target_that_a_page_names_is_one(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    named = [code.split()[1] for code in inline_code_of(page) if re.match(r"make [a-z]", code)]
    assert [target for target in named if target not in targets] == []


@EACH_PAGE
def test_every_command_that_a_page_names_is_one_and_has_the_options(page: str) -> None:
    """In its prose and in its blocks: those that no test runs too."""
    assert [problem for code in code_of(page) for problem in problems_of_commands(code)] == []


@EACH_PAGE
def test_every_module_that_a_page_has_python_run_is_there(page: str) -> None:
    named = [module for code in code_of(page) for module in RUN_MODULE.findall(code)]
    assert [module for module in named if not can_be_run(module)] == []


@EACH_PAGE
def test_every_file_that_a_page_gives_to_pytest_is_there(page: str) -> None:
    given = [word for code in code_of(page) if re.match(r"\S*pytest ", code) for word in code.split()[1:]]
    assert [path for path in given if path.startswith("tests/") and not is_there(path)] == []


RUN_MODULE = re.compile(r"\bpython[\d.]* -m ([\w.]+)")
OURS = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?review-fetcher((?: +[^\s|;&()<>]+)+)")
OPTION = re.compile(r"(--?[a-z][\w-]*)(?:=.*)?")
STANDS_FOR_ONE = re.compile(r"[A-Z][A-Z_]*|…|-.*")


def code_of(page: str) -> list[str]:
    return inline_code_of(page) + [" ".join(command.text.split()) for command in typed_commands(PROJECT / page)]


def can_be_run(module: str) -> bool:
    """What `python -m` asks for: a module, or a package with a `__main__`."""
    try:
        found = find_spec(module)
        if found is not None and found.submodule_search_locations:
            found = find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return found is not None


def problems_of_commands(code: str) -> Iterator[str]:
    for found in OURS.finditer(code):
        yield from problems_of(found[1].replace("\\", " ").split())


def problems_of(words: list[str]) -> Iterator[str]:
    """What of the words behind `review-fetcher` is no command, or no option of the command. A group of commands may be
    named alone, or with what stands for one of them."""
    name, command = "review-fetcher", whole_program()
    while words and isinstance(command, TyperGroup) and words[0] in command.commands:
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    if isinstance(command, TyperGroup) and words and not STANDS_FOR_ONE.fullmatch(words[0]):
        yield f"{name} {words[0]}"
    known = {"--help"}.union(*({*one.opts, *one.secondary_opts} for one in command.params))
    options = [found[1] for found in map(OPTION.fullmatch, words) if found]
    yield from (f"{name} {option}" for option in options if option not in known)


@cache
def whole_program() -> Any:
    """Typer carries a click of its own, which has no public types."""
    return get_command(application)


@cache
def known_names() -> set[str]:
    """Settings, with where a secret may be read from a file; and arguments, which the command line writes alike."""
    settings = {variable.name for variable in variables(Settings)}
    parameters = [parameter for _, command in commands() for parameter in command.params]
    arguments = {str(one.name).upper() for one in parameters if isinstance(one, TyperArgument)}
    return settings | {f"{name}_FILE" for name in settings} | arguments


@EACH_PAGE
def test_every_setting_that_a_page_names_is_one(page: str) -> None:
    """Words in capitals that begin like a setting, but for those that other programs have."""
    first_words = {variable.name.partition("_")[0] for variable in variables(Settings)}
    named = {found[1] for found in map(SETTING.fullmatch, inline_code_of(page)) if found}
    assert {name for name in named if name.partition("_")[0] in first_words} - OTHERS.keys() <= known_names()


OTHERS = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "a reason of Google's errors",
    "FAILED_PRECONDITION": "a status of Google's errors",
    "SERVICE_DISABLED": "a reason of Google's errors",
}


@pytest.mark.parametrize("made_up", ["tests/flows/test_nothing.py", "app/nothing.py", "scripts/nothing/*.sh"])
def test_a_file_that_is_not_there_would_be_seen(made_up: str) -> None:
    found = PATH.fullmatch(made_up)
    assert found is not None
    assert not is_there(found[1])


@pytest.mark.parametrize(
    ("made_up", "problem"),
    [
        ("review-fetcher explode", "review-fetcher explode"),
        ("review-fetcher jobs explode", "review-fetcher jobs explode"),
        ("X=1 .venv/bin/review-fetcher doctor --explode", "review-fetcher doctor --explode"),
        ("echo a | review-fetcher fetch --token - --explode=1 > file", "review-fetcher fetch --explode"),
        ("review-fetcher keys --explode", "review-fetcher keys --explode"),
    ],
)
def test_a_command_that_is_none_or_lacks_the_option_would_be_seen(made_up: str, problem: str) -> None:
    assert list(problems_of_commands(made_up)) == [problem]


@pytest.mark.parametrize("made_up", ["cluster.nothing", "nothing", "tests.support"])
def test_a_module_that_cannot_be_run_would_be_seen(made_up: str) -> None:
    assert not can_be_run(made_up)
