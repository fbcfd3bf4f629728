"""Log lines have names that are declared once."""

import ast
from collections.abc import Iterator
from pathlib import Path

from app.telemetry.events import Event

APP = Path(__file__).resolve().parents[3] / "app"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _logged() -> Iterator[tuple[str, ast.expr]]:
    """(place, first argument) of every call of a module's `log`."""
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value
            if node.func.attr in LEVELS and isinstance(owner, ast.Name) and owner.id == "log":
                yield f"{path.relative_to(APP)}:{node.lineno}", node.args[0]


def test_every_line_is_named_by_an_event() -> None:
    others = [place for place, name in _logged() if not ast.unparse(name).startswith("Event.")]
    assert others == []


def test_every_event_is_logged_somewhere() -> None:
    used = {ast.unparse(name).removeprefix("Event.") for _, name in _logged()}
    assert {event.name for event in Event} - used == set()
