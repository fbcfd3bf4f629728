"""Tables of docs/configuration.md, cli.md, events.md and monitoring.md, schemas and .env.example, made from the code.

`python -m app.cli.reference` writes them, from the folder of the project; a test compares.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from app.cli.entry import application
from app.cli.events_reference import EVENTS, documents, topics_table
from app.cli.exits import MEANINGS
from app.config import Settings, variables
from app.config.shown import COMPUTED, default_of
from app.telemetry import names

CONFIGURATION = Path("docs/configuration.md")
COMMANDS = Path("docs/cli.md")
EXAMPLE = Path(".env.example")
MONITORING = Path("docs/monitoring.md")


def main() -> None:
    """Write them all."""
    CONFIGURATION.write_text(filled(CONFIGURATION.read_text(encoding="utf-8"), "settings", settings_table()))
    text = filled(COMMANDS.read_text(encoding="utf-8"), "exit codes", exit_codes_table())
    COMMANDS.write_text(filled(text, "commands", commands_text()))
    EXAMPLE.write_text(environment_example())
    monitoring = MONITORING.read_text(encoding="utf-8")
    MONITORING.write_text(filled(monitoring, "metrics", metrics_table()))
    events = EVENTS.read_text(encoding="utf-8")
    EVENTS.write_text(filled(events, "topics", topics_table()))
    for path, text in documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def filled(text: str, name: str, generated: str) -> str:
    """The text with `generated` between `<!-- name -->` and `<!-- end of name -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"there is no place for {name}")
    return f"{before}{begin}{generated}{end}{after}"


def settings_table() -> str:
    """Markdown: variable, default, values, what it is for."""
    rows = ["| Variable | Default | Values | What it does |", "|---|---|---|---|"]
    for variable in variables(Settings):
        name = f"`{variable.name}`" + (f", `{variable.name}_FILE`" if variable.secret else "")
        default = default_of(variable)
        shown = f"`{default}`" if default and variable.name not in COMPUTED else default
        rows.append(f"| {name} | {shown} | {values_of(variable.field)} | {variable.field.description} |")
    return "\n".join(rows) + "\n"


def values_of(field: FieldInfo) -> str:
    """What may stand there, in a few words."""
    annotation = field.annotation
    choices = _choices(annotation)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if annotation is bool:
        return "`true`, `false`"
    return _bounds(field.metadata)


def _choices(annotation: Any) -> tuple[str, ...]:
    """Of a Literal, or of a tuple of one."""
    for inner in (annotation, *get_args(annotation)):
        arguments = get_args(inner)
        if arguments and all(isinstance(argument, str) for argument in arguments):
            return arguments
    return ()


def _bounds(metadata: list[Any]) -> str:
    low = next((f"{limit.ge:,}" for limit in metadata if isinstance(limit, Ge)), "")
    above = next((f"more than {limit.gt}" for limit in metadata if isinstance(limit, Gt)), "")
    high = next((f"{limit.le:,}" for limit in metadata if isinstance(limit, Le)), "")
    below = next((f"below {limit.lt}" for limit in metadata if isinstance(limit, Lt)), "")
    if low and not (high or below):
        return f"from {low}"
    return " to ".join(part for part in (low or above, high or below) if part)


def environment_example() -> str:
    """Every setting as a comment, with its default."""
    lines = ["# Copy to .env and change what you need: everything here is the default.", ""]
    for variable in variables(Settings):
        default = "" if variable.name in COMPUTED else default_of(variable)
        lines += [f"# {variable.field.description}", f"# {variable.name}={default}", ""]
    return "\n".join(lines)


def exit_codes_table() -> str:
    """Markdown: code, meaning."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["| Code | Meaning |", "|---|---|", *rows]) + "\n"


def metrics_table() -> str:
    """Markdown: name as it is queried, kind, labels, what it counts."""
    rows = ["| Metric | Kind | Labels | What it is |", "|---|---|---|---|"]
    for metric in names.ALL:
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        kind = f"{metric.kind}, of the store" if metric.of_store else metric.kind
        rows.append(f"| `{name}` | {kind} | {labels} | {metric.help} |")
    return "\n".join(rows) + "\n"


def commands_text() -> str:
    """Markdown: each command with its help and options."""
    return "\n".join(_described(command, name) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Each command with its full name. Typer carries a click of its own, which has no public types."""
    yield from _leaves(get_command(application), "review-fetcher")


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for inner_name, inner in command.commands.items():
            yield from _leaves(inner, f"{name} {inner_name}")
    else:
        yield name, command


def _described(command: Any, name: str) -> str:
    arguments = [argument for argument in command.params if isinstance(argument, TyperArgument)]
    words = " ".join([name, *(str(argument.name).upper() for argument in arguments)])
    rows = [f"| `{str(argument.name).upper()}` | | {argument.help} |" for argument in arguments]
    rows += [_row(option) for option in command.params if isinstance(option, TyperOption) and option.name != "help"]
    parts = [f"### `{words}`", "", inspect.cleandoc(command.help), ""]
    if rows:
        parts += ["| Option | Default | What it does |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _row(option: TyperOption) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    default = "" if option.default in (None, False) else f"`{option.default}`"
    variable = f" Variable: `{option.envvar}`." if option.envvar else ""
    return f"| {names} | {default} | {option.help}{variable} |"


if __name__ == "__main__":
    main()
