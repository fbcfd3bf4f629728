"""What the pages name of the project is there: files, tests, commands, settings."""

import re
from functools import cache

import pytest
from typer.core import TyperArgument

from app.cli.reference import commands
from app.config import Settings, variables
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
def test_every_command_that_a_page_names_is_one(page: str) -> None:
    named = [code for code in inline_code_of(page) if re.match(r"review-fetcher [a-z]", code)]
    assert [code for code in named if not is_command(code)] == []


def is_command(code: str) -> bool:
    """A command, or the words of a group of them."""
    typed = [word for word in code.split() if word[0] not in "-A<…"]
    return any(f"{name} ".startswith(f"{' '.join(typed)} ") or code.startswith(name) for name, _ in commands())


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


@pytest.mark.parametrize("made_up", ["review-fetcher jobs explode", "review-fetcher explode"])
def test_a_command_that_is_none_would_be_seen(made_up: str) -> None:
    assert not is_command(made_up)
