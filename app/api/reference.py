"""The API's reference as one page, made from its OpenAPI document: no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
section { border-top: 1px solid #8886; padding: 1rem 0 }
h2 { font-size: 1.05rem; margin: 0 } code, pre { font-family: ui-monospace, monospace; font-size: .9em }
td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

REFERENCE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


_OPEN = (
    "<p><strong>Open to this machine.</strong> There are no API keys, so programs of this machine need none. "
    "<code>review-fetcher keys create</code> makes one.</p>"
)


def reference_page(document: dict[str, Any], *, is_open: bool = False) -> str:
    """The page for an OpenAPI 3.1 document. `is_open`: nobody needs a key, which it says."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = "".join(
        _operation(method.upper(), path, operation)
        for path, operations_of_path in document["paths"].items()
        for method, operation in operations_of_path.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{_OPEN if is_open else ''}<p>{escape(document['info'].get('summary', ''))}</p>"
        "<p>Send an API key in <code>X-API-Key</code>, or as <code>Authorization: Bearer</code>. Errors are "
        '<code>application/problem+json</code>. For machines: <a href="/openapi.json">openapi.json</a>.</p>'
        f"{operations}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    scopes = [scope for requirement in operation.get("security", ()) for scope in requirement.get("ApiKey", ())]
    access = f"Scope: {', '.join(scopes)}" if scopes else "Any API key" if "security" in operation else "Open"
    parameters = [(name["name"], name["in"], name.get("description", "")) for name in operation.get("parameters", ())]
    responses = [(status, told.get("description", "")) for status, told in operation["responses"].items()]
    return (
        f"<section><h2><code>{method} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', ''))} <em>{escape(access)}.</em></p>"
        f"{_body(operation)}{_table(parameters)}{_table(responses)}</section>"
    )


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    name = content["schema"]["$ref"].rpartition("/")[2]
    return f"<p>Body: JSON, <code>{escape(name)}</code></p>"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>" if rows else ""
