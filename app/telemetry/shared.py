"""Tasks that work for whoever asks: what they log names nobody's request, job or trace."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def shared_task(work: Coroutine[Any, Any, T], name: str | None = None) -> "asyncio.Task[T]":
    """Without the context of its creator, who is only the first of many."""
    return asyncio.create_task(work, name=name, context=Context())
