"""Read the settings, or say in words why they cannot be used."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.config.environment import Variable, variables
from app.config.settings import Settings

WORDS = {
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
}
"""By pydantic's type of an error, where its own text tells how it parses and not what to write."""


class ConfigurationError(Exception):
    """The settings cannot be used: `problems` names each variable, what is wrong and what to do. Shows no secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(**values: Any) -> Settings:
    """Settings from `values`, else the environment, else `.env`. Raises ConfigurationError with every problem.

    `_env_file=None` leaves `.env` aside.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(list(_explain(error))) from None  # pydantic's own text is no help to a user
    except UnicodeDecodeError:
        raise ConfigurationError([".env: is not UTF-8 text: write it anew, or remove it"]) from None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return load_settings()


def _explain(error: ValidationError) -> Iterator[str]:
    known = {variable.path: variable for variable in variables(Settings)}
    for detail in error.errors(include_url=False):
        if detail["type"] != "default_factory_not_called":  # depends on a setting that has a line of its own
            location = tuple(str(part) for part in detail["loc"])
            yield _problem(detail, known.get(location) or known.get(location[:1]) or known.get(location[:2]), location)


def _problem(detail: ErrorDetails, variable: Variable | None, location: tuple[str, ...]) -> str:
    ours = detail.get("ctx", {}).get("error")
    if variable is None:  # a check of several settings, which names them itself, or an argument that is none
        return str(ours) if ours else f"{'.'.join(location)}: there is no such setting"
    message = str(ours or WORDS.get(detail["type"]) or detail["msg"].replace("Input should", "should"))
    if variable.secret or "@" in str(detail["input"]):
        return f"{variable.name}: {message}"
    return f"{variable.name}: {message} (is {str(detail['input'])[:60]!r})"
