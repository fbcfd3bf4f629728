"""The Dockerfile, as far as ours goes, read as `docker build` reads it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PAIR = re.compile(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S*)')
_OPTION = re.compile(r"^--(\w[\w-]*)=(\S+)\s+")


class Instruction(NamedTuple):
    """One line, however many it is written on. `options`: `--name=value` ahead of the rest."""

    word: str
    options: dict[str, str]
    rest: str


@dataclass(slots=True)
class Stage:
    """What comes after one FROM. `environment` and `labels` have no variables left in them."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def last(self, word: str) -> Instruction:
        """The instruction that counts. Raises LookupError."""
        return next(one for one in reversed(self.instructions) if one.word == word)

    @property
    def start(self) -> list[str]:
        """Raises ValueError for a command in the form that needs a shell."""
        return [str(word) for word in json.loads(self.last("CMD").rest)]

    @property
    def health(self) -> list[str]:
        """Raises ValueError for a command in the form that needs a shell."""
        return [str(word) for word in json.loads(self.last("HEALTHCHECK").rest.removeprefix("CMD "))]

    @property
    def user(self) -> tuple[int, int]:
        user, group = self.last("USER").rest.split(":")
        return int(user), int(group)

    @property
    def workdir(self) -> str:
        return self.last("WORKDIR").rest


def read_dockerfile(path: Path, given: Mapping[str, str], path_of_base: str) -> list[Stage]:
    """Its stages. `given`: build arguments by name; `path_of_base`: the PATH that the base image has."""
    stages: list[Stage] = []
    before: dict[str, str] = {}
    for one in _instructions(path.read_text()):
        if one.word == "FROM":
            base, _, name = one.rest.partition(" AS ")
            stages.append(Stage(expand(base, before | dict(given)), name, environment={"PATH": path_of_base}))
        elif not stages:
            before |= _argument(one, given)
        else:
            _add(stages[-1], one, given)
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if not word:
            continue
        options = {}
        while (option := _OPTION.match(rest)) is not None:
            options[option[1]] = option[2]
            rest = rest[option.end() :]
        yield Instruction(word, options, rest.strip())


def _add(stage: Stage, one: Instruction, given: Mapping[str, str]) -> None:
    stage.instructions.append(one)
    known = stage.arguments | stage.environment
    if one.word == "ARG":
        stage.arguments |= _argument(one, given)
    elif one.word == "ENV":
        stage.environment |= _pairs(one.rest, known)
    elif one.word == "LABEL":
        stage.labels |= _pairs(one.rest, known)


def _argument(one: Instruction, given: Mapping[str, str]) -> dict[str, str]:
    name, _, default = one.rest.partition("=")
    return {name: given.get(name, default)}


def _pairs(text: str, known: Mapping[str, str]) -> dict[str, str]:
    return {name: expand(value.strip('"'), known) for name, value in _PAIR.findall(text)}


def expand(text: str, known: Mapping[str, str]) -> str:
    """With the values of `$name` and `${name}`. Raises KeyError for a name that is not known."""
    return _VARIABLE.sub(lambda found: known[found[1] or found[2]], text)
