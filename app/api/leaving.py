"""Clients that leave before their answer begins.

Nothing stops the application then: it makes the answer, and the server drops it without a word. So the connection notes
it here, in the request's `state`, which all copies of a scope share; who counts and tells answers looks.
"""

from starlette.types import Scope

_LEFT = "client_left"


def note_left(scope: Scope) -> None:
    """For the server: the connection is lost, and no answer had begun."""
    scope.setdefault("state", {})[_LEFT] = True


def has_left(scope: Scope) -> bool:
    """Whether nobody will get the answer. Another server than ours never says so."""
    return _LEFT in scope.get("state", ())
