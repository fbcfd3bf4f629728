"""The metrics and labels that an expression of PromQL names: enough of its grammar for the expressions of this package.

Prometheus answers an expression about a metric or a label that does not exist with nothing, and no error.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w:])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_MADE = re.compile(r'label_replace\(.*?,\s*"(\w+)",')
_DURATION = re.compile(r"\[[^\]]*\]")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "on", "without", "ignoring"})


class Named(NamedTuple):
    """A metric, with the labels of its selector, and the selector as it is written."""

    metric: str
    labels: frozenset[str]
    selector: str

    def each(self) -> Iterator[str]:
        """Selectors of which each must have a series if none of its values is misspelt: alternatives one by one, and
        what is left out as if it were asked for."""
        matchers = [list(_each(*found)) for found in _MATCHER.findall(self.selector)]
        for chosen in product(*matchers):
            yield f"{self.metric}{{{','.join(chosen)}}}" if chosen else self.metric


def metrics_of(expression: str) -> list[Named]:
    """Each selector of a metric."""
    return list(_selectors(_bared(expression), expression))


def grouping_of(expression: str) -> frozenset[str]:
    """The labels that it groups or joins by, but for one that it makes itself."""
    found = _GROUPING.findall(_STRINGS.sub('""', expression))
    named = {label.strip() for labels in found for label in labels.split(",") if label.strip()}
    return frozenset(named - set(_MADE.findall(expression)))


def concrete(expression: str) -> str:
    """With what Grafana fills in: an interval, and any replica."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


def scoped(expression: str, scope: Mapping[str, str]) -> str:
    """With these labels in each selector of a metric."""
    matchers = ",".join(f'{label}="{value}"' for label, value in scope.items())
    for found in reversed(list(_SELECTOR.finditer(_bared(expression)))) if scope else ():
        if found[1].lower() not in _WORDS:
            begin, end = found.span()
            labels = f"{expression[found.end(1) + 1 : end - 1]},{matchers}" if found[2] else matchers
            expression = f"{expression[:begin]}{found[1]}{{{labels}}}{expression[end:]}"
    return expression


def _bared(expression: str) -> str:
    """As long as it was, so that what is left keeps its place: nothing in strings, no groupings, no durations."""
    bare = _STRINGS.sub(lambda text: f'"{" " * (len(text[0]) - 2)}"', expression)
    for pattern in (_GROUPING, _DURATION):
        bare = pattern.sub(lambda found: " " * len(found[0]), bare)
    return bare


def _selectors(bare: str, expression: str) -> Iterator[Named]:
    for found in _SELECTOR.finditer(bare):
        name, labels = found[1], found[2] or ""
        if name.lower() not in _WORDS:
            yield Named(name, frozenset(_LABEL.findall(labels)), expression[found.start() : found.end()])


def _each(label: str, operator: str, value: str) -> Iterator[str]:
    match operator:
        case "=~" if re.fullmatch(r"[\w|]+", value):
            yield from (f'{label}="{one}"' for one in value.split("|"))
        case "!=":
            yield f'{label}="{value}"'
        case _:
            yield f'{label}{operator.replace("!~", "=~")}"{value}"'
