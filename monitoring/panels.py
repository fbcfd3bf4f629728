"""What a dashboard of Grafana is made of: panels in rows, each with its queries, unit and description."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]

SCHEMA_VERSION = 39
"""Of Grafana 11; later ones read it too."""

COLUMNS = 24
SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    """An expression, and how its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`unit` by Grafana's ids. `bounds`: where yellow and red begin, for a number that can be too high."""

    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8
    stacked: bool = False
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """A page. `by_instance`: with a choice of replicas."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    by_instance: bool = False

    def expressions(self) -> Iterable[str]:
        """Of all panels, and of the choice."""
        yield from (query.expression for row in self.rows for panel in row.panels for query in panel.queries)
        if self.by_instance:
            yield "review_fetcher_build_info"

    def as_json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["review-fetcher"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": _variables(by_instance=self.by_instance)},
            "links": [_link()],
            "annotations": {"list": []},
            "panels": _placed(self.rows),
        }


def _variables(*, by_instance: bool) -> list[Json]:
    source: Json = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    instance: Json = {
        "name": "instance",
        "label": "Replica",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(review_fetcher_build_info, instance)", "refId": "instance"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return [source, instance] if by_instance else [source]


def _link() -> Json:
    return {
        "type": "dashboards",
        "title": "Review Fetcher",
        "tags": ["review-fetcher"],
        "asDropdown": True,
        "keepTime": True,
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Panels from left to right, rows from top to bottom."""
    placed: list[Json] = []
    y = 0
    for row in rows:
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": []})
        placed[-1]["gridPos"] = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            own = 4 if panel.kind == "stat" else 8
            height = max(height, own)
            where = {"x": x, "y": y, "w": panel.width, "h": own}
            placed.append({"id": len(placed) + 1, "gridPos": where} | _panel(panel))
            x += panel.width
        y += height
    return placed


def _panel(panel: Panel) -> Json:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        "targets": [_target(query, "ABCDEFGH"[at]) for at, query in enumerate(panel.queries)],
    }


def _target(query: Query, name: str) -> Json:
    return {
        "refId": name,
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "range": True,
    }


def _field(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.bounds is not None:
        steps += [{"color": colour, "value": at} for colour, at in zip(("yellow", "red"), panel.bounds, strict=True)]
    field: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        fill = 25 if panel.stacked else 8
        field["custom"] = {"lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "stacking": stacking}
    return field


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
