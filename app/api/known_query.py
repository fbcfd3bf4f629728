"""Parameters of a query that the document does not have are refused: each would be one without effect."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError

UNKNOWN = "there is no such parameter here; /openapi.json has those that there are"
REPEATED = "give this once"


def refuse_unknown_query(request: Request) -> None:
    """Raises RequestValidationError for a parameter that this route does not have, or has once and was given twice.

    Of a parameter that comes twice a proxy may read the first and the service the last (ASVS 5.0 15.3.7, parameter
    pollution). The document is asked, so what it does not tell cannot be used.
    """
    if not request.scope["query_string"]:
        return
    known, given = _parameters(request), request.query_params
    wrong = [(name, UNKNOWN) for name in given if name not in known]
    wrong += [(name, REPEATED) for name in given if known.get(name) is False and len(given.getlist(name)) > 1]
    if wrong:
        raise RequestValidationError([{"loc": ("query", name), "msg": message} for name, message in wrong])


def _parameters(request: Request) -> dict[str, bool]:
    """The parameters of the route by name, and whether each may come several times."""
    operation = request.app.openapi()["paths"][request.scope["route"].path_format][request.method.lower()]
    told = [told for told in operation.get("parameters", ()) if told["in"] == "query"]
    return {parameter["name"]: parameter["schema"].get("type") == "array" for parameter in told}
