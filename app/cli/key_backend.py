"""What `review-fetcher keys` works with: a running service over HTTP, or the store beside it.

Apart from `backend`, for who has the store itself sees the keys of every tenant, and makes the first key before there
is a store. Both adapters are held to one contract suite.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.cli.exits import UsageError
from app.models.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from app.models.keys import KeyCreation, KeyList, KeyRotation, KeyView, NewKey
    from app.store.database import Database

T = TypeVar("T")


class KeyBackend(Protocol):
    """What can be done with API keys. Shapes and refusals are those of the HTTP API."""

    async def keys(self, limit: int, cursor: str | None) -> "KeyList":
        """Newest first."""
        ...

    async def create_key(self, wanted: "KeyCreation") -> "NewKey":
        """A new one, with the only telling of it."""
        ...

    async def rotate_key(self, key_id: str, wanted: "KeyRotation") -> "NewKey":
        """One in the place of another."""
        ...

    async def revoke_key(self, key_id: str) -> "KeyView":
        """End one."""
        ...


class LocalKeys:
    """In an open store. `tenant` None: the keys of all, and new ones are the default tenant's."""

    def __init__(self, database: "Database", tenant: str | None) -> None:
        from app.api.key_desk import KeyDesk  # noqa: PLC0415 - SQLAlchemy is slow to import
        from app.cli.local import user_of_this_machine  # noqa: PLC0415

        self._desk = KeyDesk(database)
        self._user = user_of_this_machine()
        self._tenant = tenant

    async def keys(self, limit: int, cursor: str | None) -> "KeyList":
        return await self._desk.page(self._tenant, limit, cursor)

    async def create_key(self, wanted: "KeyCreation") -> "NewKey":
        return await self._desk.create(self._tenant or DEFAULT_TENANT, wanted, self._user)

    async def rotate_key(self, key_id: str, wanted: "KeyRotation") -> "NewKey":
        return await self._desk.rotate(self._tenant, key_id, wanted, self._user)

    async def revoke_key(self, key_id: str) -> "KeyView":
        return await self._desk.revoke(self._tenant, key_id, self._user)


def ask_about_keys(
    server: str | None,
    api_key: str | None,
    tenant: str | None,
    question: Callable[[KeyBackend], Awaitable[T]],
    *,
    make_store: bool = False,
) -> T:
    """The answer to one question. `make_store`: a local store that is missing is made."""
    if server and tenant is not None:
        raise UsageError("--tenant is for the local store: with --server the API key says whose keys they are")

    async def asked() -> T:
        async with _opened(server, api_key, tenant, make_store=make_store) as backend:
            return await question(backend)

    return asyncio.run(asked())


@asynccontextmanager
async def _opened(
    server: str | None, api_key: str | None, tenant: str | None, *, make_store: bool
) -> AsyncIterator[KeyBackend]:
    if server:
        from app.cli.remote import Service  # noqa: PLC0415 - aiohttp is slow to import

        async with Service(server, api_key) as service:
            yield service
        return
    from app.cli.local import existing_store, migrated_store  # noqa: PLC0415 - SQLAlchemy is slow to import

    async with migrated_store(exclusive=False) if make_store else existing_store() as database:
        yield LocalKeys(database, tenant)
