"""The rules as Prometheus reads them, and as a person may: YAML of a few plain forms."""

import json
from collections.abc import Iterator, Mapping

from monitoring.alerts import ALERTS, Alert
from monitoring.promql import scoped
from monitoring.recording import RECORDINGS, Recording

RUNBOOKS = "docs/alerts.md"
"""Where each alert's section is. A base in front of it is the operator's: `python -m monitoring --runbooks URL`."""


EVERYWHERE: Mapping[str, str] = {}
"""No label is asked for: one Prometheus watches one service."""


def rules_file(runbooks: str = RUNBOOKS, scope: Mapping[str, str] = EVERYWHERE) -> str:
    """The whole file. `runbooks`: the page with the alerts' sections. `scope`: labels of the one release that the rules
    read the series of, where a Prometheus watches several; what they record and fire has these labels too."""
    lines = ["# Made by `python -m monitoring`: change monitoring/ and run it again.", "groups:"]
    lines += ["  - name: review-fetcher-recording", "    rules:"]
    lines += [line for recording in RECORDINGS for line in _recording(recording, scope)]
    lines += ["  - name: review-fetcher-alerts", "    rules:"]
    lines += [line for alert in ALERTS for line in _alert(alert, runbooks, scope)]
    return "\n".join(lines) + "\n"


def anchor(alert: Alert) -> str:
    """As Markdown's readers make it of a heading."""
    return alert.name.lower()


def _recording(recording: Recording, scope: Mapping[str, str]) -> Iterator[str]:
    yield f"      - record: {recording.record}"
    yield f"        expr: {_text(scoped(recording.expression, scope))}"
    if scope:
        yield "        labels:"
        yield from _labels(scope)


def _alert(alert: Alert, runbooks: str, scope: Mapping[str, str]) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield f"        expr: {_text(scoped(alert.expression, scope))}"
    if alert.wait != "0s":
        yield f"        for: {alert.wait}"
    yield "        labels:"
    yield f"          severity: {alert.severity}"
    yield from _labels(scope)
    yield "        annotations:"
    yield f"          summary: {_text(alert.summary)}"
    yield f"          runbook_url: {_text(f'{runbooks}#{anchor(alert)}')}"


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    for name, value in labels.items():
        yield f"          {name}: {_text(value)}"


def _text(text: str) -> str:
    """A string of JSON is one of YAML."""
    return json.dumps(text, ensure_ascii=False)
