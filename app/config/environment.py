"""The environment and `.env`, by our names of the variables."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from app.config.groups import Group
from app.config.values import Unreadable


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting as the environment knows it. `path` is where it stands in Settings."""

    name: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown; such a variable can also be given as `*_FILE`."""
        return SecretStr in (self.field.annotation, *get_args(self.field.annotation))


def variables(model: type[BaseModel]) -> Iterator[Variable]:
    """Every variable, in the order of Settings."""
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            for inner, inner_field in group.model_fields.items():
                yield Variable(group.PREFIX + inner.upper(), (name, inner), inner_field)
        else:
            yield Variable(name.upper(), (name,), field)


def read_variables(model: type[BaseModel], sources: Iterable[PydanticBaseSettingsSource]) -> dict[str, Any]:
    """The values of the variables that are set, nested as in `model`; later sources win. An empty value is not set."""
    values: dict[str, str] = {}
    for source in sources:
        if isinstance(source, EnvSettingsSource):
            values |= {name: value for name, value in source.env_vars.items() if value}
    found: dict[str, Any] = {}
    for variable in variables(model):
        value = _value(variable, values)
        if value is not None:
            _put(found, variable.path, value)
    return found


def _put(found: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    for name in path[:-1]:
        found = found.setdefault(name, {})
    found[path[-1]] = value


def _value(variable: Variable, values: Mapping[str, str]) -> str | None:
    """pydantic-settings gives the names in small letters."""
    value = values.get(variable.name.lower())
    file = values.get(f"{variable.name}_FILE".lower()) if variable.secret else None
    if file is None:
        return value
    if value is not None:
        return Unreadable(f"is set, and {variable.name}_FILE too: keep one of them")
    return _read_secret(variable.name, Path(file))


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        return Unreadable(f"cannot be read from {name}_FILE={str(path)!r} ({why}): mend the path or its permissions")
