"""What the routes work with. The composition root makes it and hands it over before the first request."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.api.authenticator import Authenticator
from app.api.key_desk import KeyDesk
from app.api.schemas import Readiness
from app.api.service import APIService
from app.limits.views import BudgetView
from app.models.overview import SettingList
from app.pipeline.control import JobControl
from app.results.audit import AuditLog
from app.results.dead_letters import DeadLetters
from app.results.erasures import Erasures
from app.results.events import JobEvents
from app.results.export import Export
from app.results.overview import Overviews
from app.results.progress import Progress
from app.webhooks.desk import Webhooks


@dataclass(frozen=True, slots=True)
class ApiServices:
    """One instance a process. `settings`: those in force, in words. `metrics_text`: the text format of Prometheus."""

    api_service: APIService
    authenticator: Authenticator
    keys: KeyDesk
    progress: Progress
    events: JobEvents
    overviews: Overviews
    export: Export
    dead_letters: DeadLetters
    erasures: Erasures
    job_control: JobControl
    webhooks: Webhooks
    audit: AuditLog
    quota: Callable[[], Awaitable[Sequence[BudgetView]]]
    settings: SettingList
    readiness: Callable[[], Awaitable[Readiness]]
    metrics_text: Callable[[], Awaitable[bytes]]


def set_services(app: FastAPI, services: ApiServices) -> None:
    """Before the first request: makes the services available to the routes."""
    app.state.services = services


def services_of(request: Request) -> ApiServices:
    services: ApiServices = request.app.state.services
    return services


async def _get_services(request: Request) -> ApiServices:
    """Not plain: the framework calls plain functions in a thread."""
    return services_of(request)


Services = Annotated[ApiServices, Depends(_get_services)]
