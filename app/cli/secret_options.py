"""Options that hold secrets: taken, with a word about who can read them."""

import typer

from app.cli.screen import say

STDIN = "-"


def told_in_public(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Say so when the secret stands on the command line itself: others on the machine see it in the list of processes,
    and it stays in the shell's history."""
    source = context.get_parameter_source(parameter.name or "")
    if source is not None and source.name == "COMMANDLINE" and value not in (None, STDIN):
        say(f"Others on this machine can read {parameter.opts[0]} of this command: set {parameter.envvar} instead.")
    return value
