"""`review-fetcher quota`."""

from typing import TYPE_CHECKING

from app.cli.backend import Where, ask
from app.cli.options import ApiKey, Json, Server
from app.cli.screen import say, show_json, show_table

if TYPE_CHECKING:
    from datetime import datetime

    from app.models.quota import QuotaBudget, QuotaWindow

COLUMNS = ("project", "api", "window", "limit", "spent", "left", "whole again", "next call")


def quota(*, server: Server = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Show what is left of Google's quota: of the local store (DATABASE_URL), or of a running service (--server).

    Calls on loan to a replica count as spent. Times are UTC.
    """
    report = ask(Where(server, api_key), lambda backend: backend.quota())
    if as_json:
        show_json(report)
    elif not report.budgets:
        say("Nothing has been asked of Google yet.")
    else:
        show_table(COLUMNS, [row for budget in report.budgets for row in _rows(budget)])
        for budget in report.budgets:
            for remark in _remarks(budget):
                say(remark)


def _rows(budget: "QuotaBudget") -> list[tuple[object, ...]]:
    next_call = _time(budget.next_call_at) or "now"
    windows = [_cells(window) for window in budget.windows] or [("no limit", None, None, None, None)]
    return [(budget.project, budget.api, *cells, next_call) for cells in windows]


def _cells(window: "QuotaWindow") -> tuple[object, ...]:
    return (window.name, f"{window.limit:g}", f"{window.spent:.4g}", f"{window.left:.4g}", _time(window.resets_at))


def _remarks(budget: "QuotaBudget") -> list[str]:
    """What does not fit into a table: why nothing can be called, and who holds calls."""
    name, found = f"{budget.api} of project {budget.project}", []
    if budget.reason is not None:
        closed = "closed by Google" if budget.closed_until else "waits"
        found.append(f"{name} {closed} until {_time(budget.next_call_at)}: {budget.reason}")
    if budget.shares:
        calls = sum(share.calls for share in budget.shares)
        holders = ", ".join(sorted({share.holder for share in budget.shares}))
        found.append(f"{name}: {calls} calls on loan to {holders}")
    return found


def _time(moment: "datetime | None") -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
