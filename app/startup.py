"""A service that cannot start says why in a sentence, not in a traceback."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.authenticator import ApiKeySettingError
from app.broker.base import TopicLayoutError
from app.config import ConfigurationError
from app.credentials import KeyFileError, SealingKeyError
from app.edge.server import PortTakenError
from app.store.database import StoreBusyError, StoreUnavailableError
from app.store.migrate import SchemaTooNewError

EXPECTED = (
    ApiKeySettingError,
    ConfigurationError,
    KeyFileError,
    PortTakenError,
    SealingKeyError,
    SchemaTooNewError,
    StoreBusyError,
    StoreUnavailableError,
    TopicLayoutError,
)
"""What a person can mend; anything else is our fault and keeps its traceback."""


class PlainStartupFailure:
    """ASGI middleware for the lifespan: replaces the traceback that the framework would send to the server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def hold_failure(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                held.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold_failure)
        except EXPECTED as error:
            why = "; ".join(str(error).splitlines())
            await send({"type": "lifespan.startup.failed", "message": f"The service cannot start. {why}"})
        except BaseException:
            for message in held:
                await send(message)
            raise
