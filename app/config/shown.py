"""Settings in words: as they are in force, without secrets, and their defaults."""

from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from app.config.environment import Variable, variables
from app.config.settings import Settings
from app.models.overview import SettingList, SettingView

COMPUTED = {"VERSION": "the installed one", "MOCK_GOOGLE_API": "see there", "MOCK_KAFKA": "see there"}
"""Defaults that depend on something else."""


def shown(settings: Settings) -> SettingList:
    """Every setting as it is in force, in the order of docs/configuration.md."""
    return SettingList(settings=[_shown(settings, variable) for variable in variables(Settings)])


def default_of(variable: Variable) -> str:
    """As one would write it in the environment; empty for none."""
    if variable.name in COMPUTED:
        return COMPUTED[variable.name]
    default = variable.field.default
    if default is PydanticUndefined:
        raise ValueError(f"{variable.name} needs a row in COMPUTED")
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return _written(default)


def _shown(settings: Settings, variable: Variable) -> SettingView:
    holder: Any = settings
    for name in variable.path[:-1]:
        holder = getattr(holder, name)
    return SettingView(
        name=variable.name,
        value=_value(settings, variable, getattr(holder, variable.path[-1])),
        default=default_of(variable),
        source="set" if variable.path[-1] in holder.model_fields_set else "default",
        secret=variable.secret,
        description=variable.field.description or "",
    )


def _value(settings: Settings, variable: Variable, value: Any) -> str:
    """The address of the store is worth showing, and can be without its password."""
    if variable.path == ("database_url",):
        return str(settings.database)
    if variable.secret:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        return "set" if given else "not set"
    return _written(value)


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
