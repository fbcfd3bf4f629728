"""What a worker asks before it calls Google."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import random as system_random

import structlog

from app.clock import Clock
from app.limits.exchange import STORE_RETRY_SECONDS, Exchange
from app.limits.gate import SHORTEST_PAUSE, VALID_SECONDS, Gate
from app.limits.permits import BudgetStore, Permit, Wait
from app.limits.rules import Limits
from app.limits.views import BudgetView, views
from app.limits.waiters import Tenant, Waiter
from app.telemetry.events import Event
from app.telemetry.shared import shared_task

REFRESH_SECONDS = 1.0
"""How often a process without limits of its own looks for closings that others met."""

MOST_GATES = 1000

NOBODY = Tenant("", 1)
"""Asks for no tenant in particular."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Service:
    """The task that serves one gate's queue, and the future that wakes it."""

    task: "asyncio.Task[None] | None" = None
    wake: "asyncio.Future[None] | None" = field(default=None)


class SharedQuota:
    """Budgets per (Google project, API), kept by all replicas together through the store."""

    def __init__(
        self,
        store: BudgetStore,
        limits: Mapping[str, Limits],
        holder: str,
        clock: Clock,
        random: Callable[[], float] = system_random,
    ) -> None:
        """`limits` by API name (a missing one is unlimited); `holder` is unique per start of a process."""
        self._store = store
        self._limits = {str(api): limit for api, limit in limits.items()}
        self._exchange = Exchange(store, holder, clock, random)
        self._clock = clock
        self._gates: dict[tuple[str, str], Gate] = {}
        self._services: dict[tuple[str, str], _Service] = {}
        self._refresh_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._closing = False

    async def acquire(self, project: str, api: str, *, max_wait: float, tenant: Tenant = NOBODY) -> Permit | Wait:
        """Leave for one call; Wait once known to take more than `max_wait` seconds. Tenants that wait are served by
        their weights, and each one's own in the order in which they came.

        Ask as the last step before the send. Every permit is answered by exactly one of `succeeded`, `throttled`
        or `released`. The store being away is a Wait too.
        """
        gate = self._gates.get((project, api)) or self._new_gate(project, api)
        now = self._clock.monotonic()
        if not gate.waiters and gate.can_give(now):
            if now >= self._refresh_at and not gate.limited:
                self._refresh_soon(now)
            return gate.give(now)
        return await self._queued(gate, now, max_wait, tenant)

    def still_valid(self, permit: Permit) -> bool:
        """Whether the call may still be sent: not when the permit is old (a stopped process) or closed since."""
        gate = self._gates.get((permit.project, permit.api))
        now = self._clock.monotonic()
        if gate is None or gate.calls_closing or gate.closed_until > now:
            return False
        return permit.closings == gate.closings and now - permit.sent_at <= VALID_SECONDS

    async def throttled(self, permit: Permit, retry_after: float | None) -> Wait:
        """A 429: closes the budget for everyone. `retry_after` in seconds, from Retry-After or RetryInfo.

        With the store away it is closed here alone. Never raises for the store.
        """
        gate = self._gate_of(permit)
        gate.ended(permit)
        if not gate.knows_of(permit, self._clock.monotonic() + (retry_after or 0.0)):
            await self._close_for_all(gate, permit, retry_after)
        closed = gate.closed_until > self._clock.monotonic()
        return Wait(gate.told_until if closed else self._clock.now(), gate.cooldown.reason)

    async def succeeded(self, permit: Permit) -> None:
        """Google answered and did not speak of quota (also with a 401, 403 or 404). Opens a re-opening further."""
        gate = self._gate_of(permit)
        if gate.allowed is None:
            return
        proven = gate.went_well(permit)
        self._serve(gate)
        if proven:
            await self._exchange.forget_streak(gate, permit)
        elif not gate.waiters and gate.share is not None and not gate.share.left:
            await self._exchange.return_share(gate)  # others may try now, and more at once

    def released(self, permit: Permit) -> None:
        """The call said nothing about quota (timeout, 5xx) or was not made. The permit stays spent."""
        gate = self._gate_of(permit)
        if gate.ended(permit):
            self._serve(gate)

    def is_open(self, project: str, api: str) -> bool:
        """False while a 429 keeps the budget closed, as far as this process knows."""
        gate = self._gates.get((project, api))
        return gate is None or gate.closed_until <= self._clock.monotonic()

    async def snapshot(self) -> list[BudgetView]:
        """Every budget as the store has it, for people and metrics. Raises what the store raises."""
        now, rows = await self._store.read_budgets()
        return views(rows, self._limits, now, self._clock.now())

    async def close(self) -> None:
        """Return unused shares and answer everyone who still waits. Idempotent."""
        self._closing = True
        for gate in self._gates.values():
            self._answer_all(gate, "the service is shutting down")
            self._wake(gate)
        tasks = [service.task for service in self._services.values() if service.task]
        tasks += [self._refreshing] if self._refreshing else []
        if tasks:
            await asyncio.wait(tasks)
        for gate in self._gates.values():
            await self._exchange.return_share(gate)

    # --- the queue

    async def _queued(self, gate: Gate, now: float, max_wait: float, tenant: Tenant) -> Permit | Wait:
        blocking = gate.blocking(now)
        if blocking is not None and (blocking.at_once or now + max_wait < blocking.until):
            return blocking.answer
        if self._closing:
            return Wait(self._exchange.wall(now) + STORE_RETRY_SECONDS, "the service is shutting down")
        waiter = Waiter(now + max_wait, gate.rounds, tenant, asyncio.get_running_loop().create_future())
        gate.waiters.append(waiter)
        self._wake(gate)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._left(gate, waiter)
            raise

    def _left(self, gate: Gate, waiter: Waiter) -> None:
        """A cancelled waiter: what it was given and never saw goes to the next."""
        if waiter in gate.waiters:
            gate.waiters.remove(waiter)
        elif not waiter.answer.cancelled() and isinstance(permit := waiter.answer.result(), Permit):
            gate.take_back(permit)
        self._serve(gate)

    def _serve(self, gate: Gate) -> None:
        """Something changed: answer whom it concerns, and let the service look again."""
        gate.serve(self._clock.monotonic())
        if gate.waiters:
            self._wake(gate)

    def _wake(self, gate: Gate) -> None:
        service = self._services[gate.project, gate.api]
        if service.wake is not None and not service.wake.done():
            service.wake.set_result(None)
        elif (service.task is None or service.task.done()) and gate.waiters:
            service.task = shared_task(self._run(gate, service))

    async def _run(self, gate: Gate, service: _Service) -> None:
        """Serve the queue while there is one, then hold the share until it ends and return what is left."""
        while not self._closing:
            now = self._clock.monotonic()
            gate.serve(now)
            share = gate.share
            if gate.waiters and (pause := gate.pause(now)) > 0:
                await self._sleep(service, pause)
            elif gate.waiters:
                await self._refill(gate)
            elif share is not None and share.left > 0 and now < share.expires_at:
                await self._sleep(service, share.expires_at - now)
            elif share is not None and share.left > 0:
                await self._exchange.return_share(gate)
            else:
                return

    async def _sleep(self, service: _Service, seconds: float) -> None:
        wake = service.wake = asyncio.get_running_loop().create_future()
        timer = asyncio.ensure_future(self._clock.sleep(max(SHORTEST_PAUSE, seconds)))
        timer.add_done_callback(lambda _: None if wake.done() else wake.set_result(None))
        try:
            await wake
        finally:
            service.wake = None
            timer.cancel()

    # --- the store

    async def _refill(self, gate: Gate) -> None:
        try:
            if gate.limited:
                await self._exchange.take_share(gate)
            else:
                await self._refresh()
                gate.known = True
        except Exception as error:  # any failure of the store means the same: no new shares
            self._exchange.note_away(gate, error)
        finally:
            gate.rounds += 1

    async def _close_for_all(self, gate: Gate, permit: Permit, retry_after: float | None) -> None:
        current = permit.closings == gate.closings
        gate.calls_closing += current
        try:
            await self._exchange.close(gate, permit, retry_after)
        finally:
            gate.calls_closing -= current
            self._serve(gate)

    async def _refresh(self) -> None:
        self._refresh_at = self._clock.monotonic() + REFRESH_SECONDS
        await self._exchange.learn(self._gates)

    def _refresh_soon(self, now: float) -> None:
        self._refresh_at = now + REFRESH_SECONDS
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = shared_task(self._refresh_quietly())

    async def _refresh_quietly(self) -> None:
        try:
            await self._refresh()
        except Exception as error:  # what is known stays; the next second asks again
            log.warning(Event.BUDGET_NOT_REFRESHED, error=type(error).__name__)

    # --- gates

    def _new_gate(self, project: str, api: str) -> Gate:
        if len(self._gates) >= MOST_GATES:
            self._drop_idle_gates()
        limits = self._limits.get(api, Limits())
        gate = Gate(project, str(api), limits, limits.any, self._exchange.wall)
        self._services[project, api] = _Service()
        self._gates[project, api] = gate
        return gate

    def _gate_of(self, permit: Permit) -> Gate:
        return self._gates.get((permit.project, permit.api)) or self._new_gate(permit.project, permit.api)

    def _drop_idle_gates(self) -> None:
        now = self._clock.monotonic()
        for key, gate in list(self._gates.items()):
            task = self._services[key].task
            if (
                gate.allowed is None
                and not gate.calls_closing
                and gate.closed_until <= now
                and (task is None or task.done())
            ):
                del self._gates[key], self._services[key]

    def _answer_all(self, gate: Gate, reason: str) -> None:
        wait = Wait(self._clock.now() + STORE_RETRY_SECONDS, reason)
        for waiter in gate.waiters:
            if not waiter.answer.done():
                waiter.answer.set_result(wait)
        gate.waiters.clear()
