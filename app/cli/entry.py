"""The commands put together."""

import sys
from collections.abc import Sequence

import typer

from app.cli.audit import audit
from app.cli.demo import demo
from app.cli.dlq import application as dlq
from app.cli.doctor import doctor
from app.cli.erase import application as erase
from app.cli.exits import MEANINGS, CommandError, ExitCode, told
from app.cli.fetch import fetch
from app.cli.jobs import application as jobs
from app.cli.keys import application as keys
from app.cli.migrate_data import migrate_data
from app.cli.overview import overview
from app.cli.quota import quota
from app.cli.republish import republish
from app.cli.reviews import application as reviews
from app.cli.screen import say_error
from app.cli.serve import serve
from app.cli.settings import settings
from app.cli.simulate import simulate
from app.cli.store import migrate, version
from app.cli.webhooks import application as webhooks

_EXIT_CODES = "\n".join(f"- {code.value}: {meaning}" for code, meaning in MEANINGS.items())

application = typer.Typer(
    name="review-fetcher",
    help="Fetch every Google review of every location a token can see: once each, under Google's quota, resumable.",
    epilog=f"Settings come from the environment and .env (docs/configuration.md).\n\nExit codes:\n\n{_EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

application.command("serve")(serve)
application.command("fetch")(fetch)
application.command("demo")(demo)
application.command("simulate")(simulate)
application.add_typer(jobs, name="jobs")
application.add_typer(reviews, name="reviews")
application.add_typer(dlq, name="dlq")
application.add_typer(keys, name="keys")
application.add_typer(webhooks, name="webhooks")
application.add_typer(erase, name="erase")
application.command("overview")(overview)
application.command("audit")(audit)
application.command("quota")(quota)
application.command("migrate")(migrate)
application.command("migrate-data")(migrate_data)
application.command("republish")(republish)
application.command("settings")(settings)
application.command("doctor")(doctor)
application.command("version")(version)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit. An expected error is one clear line; any other shows its traceback."""
    try:
        application(args=None if arguments is None else list(arguments))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        line = told(error)
        if line is None:
            raise
        say_error(line)
        sys.exit(error.code if isinstance(error, CommandError) else ExitCode.FAILED)
