"""API keys, for the administrators of a tenant: its own keys, and no other's."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from app.api.auth import Administrator
from app.api.body import BODY_PROBLEMS, Body, JsonBody
from app.api.parameters import Cursor, Limit
from app.api.problems import problem_responses
from app.api.services import Services
from app.models.keys import KeyCreation, KeyList, KeyRotation, KeyView, NewKey

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

KeyId = Annotated[str, Path(description="The part of the key between its underscores.")]

_creation = JsonBody(KeyCreation)
_rotation = JsonBody(KeyRotation)


@router.get("", responses=problem_responses([422]))
async def list_keys(caller: Administrator, services: Services, limit: Limit = 100, cursor: Cursor = None) -> KeyList:
    """The tenant's API keys, newest first, those that have ended included; never the keys themselves."""
    return await services.keys.page(caller.tenant, limit, cursor)


@router.post("", status_code=201, responses=problem_responses(BODY_PROBLEMS), openapi_extra=_creation.openapi())
async def create_key(
    caller: Administrator, services: Services, body: Annotated[Body[KeyCreation], Depends(_creation)]
) -> NewKey:
    """Make a key of the caller's tenant. It is shown once."""
    return await services.keys.create(caller.tenant, body.value, caller.origin)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    responses=problem_responses([404, 409, *BODY_PROBLEMS]),
    openapi_extra=_rotation.openapi(),
)
async def rotate_key(
    caller: Administrator,
    services: Services,
    key_id: KeyId,
    body: Annotated[Body[KeyRotation], Depends(_rotation)],
) -> NewKey:
    """Replace a key by a new one like it, which is shown once. The old one goes on for the overlap, then expires."""
    return await services.keys.rotate(caller.tenant, key_id, body.value, caller.origin)


@router.delete("/{key_id}", responses=problem_responses([404, 409, 422]))
async def revoke_key(caller: Administrator, services: Services, key_id: KeyId) -> KeyView:
    """End a key: every process refuses it within 5 seconds."""
    return await services.keys.revoke(caller.tenant, key_id, caller.origin)
