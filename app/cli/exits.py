"""How commands end: exit codes, and errors that are told in a line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    JOB_FAILED = 3
    JOB_INCOMPLETE = 4
    NEEDS_TOKEN = 5
    JOB_CANCELLED = 6
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "not done: the message says why and what to do; `doctor`: something is broken",
    ExitCode.USAGE: "the command line or a value on it makes no sense",
    ExitCode.JOB_FAILED: "the job failed: nothing could be fetched, for the cause that is told",
    ExitCode.JOB_INCOMPLETE: (
        "the job ended with dead letters: all but those is there; `fetch`: run again, a server's job: `dlq redrive`"
    ),
    ExitCode.NEEDS_TOKEN: (
        "the access token expired; the job goes on with a new one: `fetch`: run again, a server's job: `jobs token`"
    ),
    ExitCode.JOB_CANCELLED: "the job was cancelled; what it had fetched is kept",
    ExitCode.INTERRUPTED: (
        "interrupted by Ctrl-C or SIGTERM. `fetch`: run again, and the job goes on; a server's job goes on by itself"
    ),
}


class CommandError(Exception):
    """A command cannot do its work. The message says what happened and what to do."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CommandError):
    """What stands on the command line makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


class AwayError(CommandError):
    """Nobody answered, or only to say that it cannot be done just now: the same may work in a while."""


EXPECTED = frozenset(
    """
    ConfigurationError StoreUnavailableError StoreBusyError SchemaTooNewError SealingKeyError KeyFileError
    ApiKeySettingError KeyNotFoundError KeyEndedError
    JobNotFoundError DeadLetterNotFoundError BadCursorError IllegalTransitionError
    IdempotencyKeyReusedError JobNotEndedError ErasureNotFoundError
    NotAnsweredError WebhookNotFoundError ParquetMissingError TargetNotEmptyError CopyDiffersError
    """.split()
)
"""Errors of other rooms whose text is meant for people. By name: importing their rooms would slow every `--help`."""


def told(error: BaseException) -> str | None:
    """The line to show for an expected error; None for a fault of ours, which deserves its traceback."""
    if isinstance(error, CommandError) or type(error).__name__ in EXPECTED:
        return str(error) or " ".join((type(error).__doc__ or "").split())
    return None
