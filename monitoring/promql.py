"""The metrics and labels that an expression of PromQL names: enough of its grammar for the expressions of this package.

Prometheus answers an expression about a metric or a label that does not exist with nothing, and no error.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w:])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_DURATION = re.compile(r"\[[^\]]*\]")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "on", "without", "ignoring"})


class Named(NamedTuple):
    """A metric, with the labels of its selector; those that the expression groups by are `grouped`."""

    metric: str
    labels: frozenset[str]


def metrics_of(expression: str) -> list[Named]:
    """Each selector of a metric."""
    bare = _DURATION.sub("", _GROUPING.sub(" ", _STRINGS.sub('""', expression)))
    return list(_selectors(bare))


def grouping_of(expression: str) -> frozenset[str]:
    """The labels that it groups or joins by."""
    found = _GROUPING.findall(_STRINGS.sub('""', expression))
    return frozenset(label.strip() for labels in found for label in labels.split(",") if label.strip())


def concrete(expression: str) -> str:
    """With what Grafana fills in: an interval, and any replica."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")


def _selectors(bare: str) -> Iterator[Named]:
    for name, labels in _SELECTOR.findall(bare):
        if name.lower() not in _WORDS:
            yield Named(name, frozenset(_LABEL.findall(labels)))
