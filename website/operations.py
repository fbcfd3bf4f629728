"""The HTTP reference: pages made from the OpenAPI document, one for each group of operations."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from website.schemas import cell, meaning_of, properties_table, value_of

Document = Mapping[str, Any]

TYPES = "types.md"
PROBLEM = "application/problem+json"
HEAD = """# HTTP reference

Every operation, with what it takes and what it answers. It is made from the OpenAPI document that the running service
has at `/openapi.json`: [openapi.json](openapi.json), for tools and generated clients. [The API by curl](../../api.md)
shows it in use, and explains [every error](../../api.md#errors).

An operation wants an API key with the scope that it names, in `X-API-Key` or as `Authorization: Bearer`. Every answer
carries `X-Request-ID`. An error is `application/problem+json` (RFC 9457): [ProblemDetails](types.md#problemdetails).
"""


def operation_pages(document: Document) -> Iterator[tuple[str, str]]:
    """Name → Markdown: `index`, one for each tag, and `types`."""
    groups = defaultdict[str, list[str]](list)
    summary = defaultdict[str, list[str]](list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            title = f"{method.upper()} {path}"
            tag = operation["tags"][0]
            groups[tag].append(_operation(title, operation))
            summary[tag].append(f"| [`{title}`]({name_of(tag)}.md#{anchor_of(title)}) | {_described(operation)} |")
    names = [name_of(tag) for tag in groups]
    for tag, operations in groups.items():
        yield name_of(tag), f"# {tag.capitalize()}\n\n" + "\n".join(operations)
    yield "types", _types_page(document["components"]["schemas"])
    yield "index", HEAD + "".join(map(_summary, summary.items())) + _contents([*names, "types"])


def name_of(tag: str) -> str:
    """Its page."""
    return tag.replace(" ", "-")


def anchor_of(title: str) -> str:
    """The anchor of a heading that is code, as GitHub and MyST make it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _contents(names: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```", ""])


def _summary(group: tuple[str, list[str]]) -> str:
    tag, rows = group
    return "\n".join([f"\n## {tag.capitalize()}\n", "| Operation | What it does |", "|---|---|", *rows, ""])


def _described(operation: Mapping[str, Any]) -> str:
    return cell(" ".join(operation["description"].split()))


def _operation(title: str, operation: Mapping[str, Any]) -> str:
    scopes = {scope for needed in operation.get("security", ()) for scopes in needed.values() for scope in scopes}
    key = f"Scope: `{'`, `'.join(sorted(scopes))}`." if scopes else _without_scope(operation)
    parts = [f"## `{title}`\n", f"{operation['description']}\n", f"{key} Operation: `{operation['operationId']}`.\n"]
    parts += _parameters(operation.get("parameters", []))
    parts += [_body(operation["requestBody"])] if "requestBody" in operation else []
    return "\n".join([*parts, _answers(operation["responses"])])


def _without_scope(operation: Mapping[str, Any]) -> str:
    return "Any valid key." if operation.get("security") else "No key is asked for."


def _parameters(parameters: list[Mapping[str, Any]]) -> Iterator[str]:
    if parameters:
        yield "| Parameter | In | Value | Meaning |\n|---|---|---|---|"
        yield "\n".join(map(_parameter, parameters)) + "\n"


def _parameter(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    mark = "" if parameter.get("required") else " (optional)"
    value = value_of(schema, TYPES).removesuffix(" or null")  # left out, then
    told = meaning_of({**schema, "description": parameter.get("description", schema.get("description", ""))})
    return f"| `{parameter['name']}`{mark} | {parameter['in']} | {cell(value)} | {cell(told)} |"


def _body(body: Mapping[str, Any]) -> str:
    return "Body: " + "; ".join(_contents_of(body["content"])) + ".\n"


def _contents_of(content: Mapping[str, Any]) -> Iterator[str]:
    for media, described in content.items():
        typed = f"{value_of(described['schema'], TYPES)} as " if "$ref" in described.get("schema", {}) else ""
        yield f"{typed}`{media}`"


def _answers(responses: Mapping[str, Any]) -> str:
    rows = ["| Answer | When | Body | Headers |", "|---|---|---|---|"]
    for status, response in responses.items():
        content = response.get("content", {})
        body = f"[problem]({TYPES}#problemdetails)" if PROBLEM in content else ", ".join(_contents_of(content))
        headers = ", ".join(f"`{name}`" for name in response.get("headers", {}) if name != "X-Request-ID")
        rows.append(f"| {status} | {cell(_when(status, response))} | {body} | {headers} |")
    return "\n".join(rows) + "\n"


DONE = {"201": "It was made.", "202": "It was accepted, and will be done."}


def _when(status: str, response: Mapping[str, Any]) -> str:
    told = str(response["description"])
    return DONE.get(status, "It was done.") if told == "Successful Response" else told


def _types_page(schemas: Mapping[str, Any]) -> str:
    parts = ["# Types\n\nWhat bodies and answers are made of. A field that is not optional is always there.\n"]
    parts += [_type(name, schema) for name, schema in sorted(schemas.items())]
    return "\n".join(parts)


def _type(name: str, schema: Mapping[str, Any]) -> str:
    text = schema.get("description", "")
    body = properties_table(schema, "") if "properties" in schema else f"{value_of(schema, '')}\n"
    return f"## {name}\n\n{text}\n\n{body}"
