"""Google's error answers: status, body (google.rpc.Status as JSON) and headers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from app.simulator.calls import Answer, Api
from app.simulator.fragments import encode

SERVICES: dict[Api, str] = {
    "accounts": "mybusinessaccountmanagement.googleapis.com",
    "locations": "mybusinessbusinessinformation.googleapis.com",
    "reviews": "mybusiness.googleapis.com",
    "tokeninfo": "oauth2.googleapis.com",
    "token": "oauth2.googleapis.com",
    "other": "googleapis.com",
}
_STATUS_WORDS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."),  # noqa: E501
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    500: ("INTERNAL", "Internal error encountered."),
    501: ("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    502: ("UNAVAILABLE", "Bad Gateway"),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}  # fmt: skip
_TYPE = "type.googleapis.com/google.rpc."
_HELP = {
    "@type": f"{_TYPE}Help",
    "links": [{"description": "Request a higher quota limit.", "url": "https://cloud.google.com/docs/quotas"}],
}


class Refusal(Exception):  # noqa: N818 (an answer of Google, not an error of ours)
    """Ends a call with an error answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def error(status: int, message: str = "", details: list[dict[str, Any]] | None = None) -> Answer:
    """The usual body of a status; `message` and `details` replace the usual ones."""
    word, usual = _STATUS_WORDS.get(status, ("UNKNOWN", "Unknown error."))
    body: dict[str, Any] = {"code": status, "message": message or usual, "status": word}
    if details:
        body["details"] = details
    headers = (("WWW-Authenticate", _CHALLENGE),) if status == 401 else ()
    return Answer(status, encode({"error": body}), headers=headers)


_CHALLENGE = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'


def html_error(status: int) -> Answer:
    """What a front end sends in place of JSON."""
    page = (
        f"<!DOCTYPE html>\n<html lang=en>\n<title>Error {status} (Server Error)!!1</title>\n"
        f"<p><b>{status}.</b> <ins>That’s an error.</ins>\n<p>Please try again later.\n"
    )
    return Answer(status, page.encode(), content_type="text/html; charset=UTF-8")


def rate_limited(
    api: Api, limit: int, retry_after: float | None = None, as_date: bool = False, retry_delay: float | None = None
) -> Answer:
    """429 with the ErrorInfo seen on these APIs. `limit` 0 is what a project without access gets."""
    service = SERVICES[api]
    information = {
        "@type": f"{_TYPE}ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "service": service,
            "quota_metric": f"{service}/default_requests",
            "quota_limit": "DefaultRequestsPerMinutePerProject",
            "quota_limit_value": str(limit),
            "quota_unit": "1/min/{project}",
            "quota_location": "global",
            "consumer": "projects/1",
        },
    }
    details: list[dict[str, Any]] = [information, _HELP]
    if retry_delay is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{retry_delay:g}s"})
    message = (
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service "
        f"'{service}' for consumer 'project_number:1'."
    )
    body = encode({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}})
    return Answer(429, body, headers=_retry_after(retry_after, as_date))


def _retry_after(seconds: float | None, as_date: bool) -> tuple[tuple[str, str], ...]:
    if seconds is None:
        return ()
    if as_date:
        return (("Retry-After", format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)),)
    return (("Retry-After", f"{seconds:g}"),)


def forbidden(api: Api, reason: str) -> Answer:
    """403 with a reason in `details`, or the legacy `errors[].reason` for the two rate limit reasons."""
    if reason in ("rateLimitExceeded", "userRateLimitExceeded"):
        message = "User Rate Limit Exceeded" if reason.startswith("user") else "Rate Limit Exceeded"
        legacy = [{"message": message, "domain": "usageLimits", "reason": reason}]
        body = {"code": 403, "message": message, "status": "PERMISSION_DENIED", "errors": legacy}
        return Answer(403, encode({"error": body}))
    service = SERVICES[api]
    metadata = {"service": service, "consumer": "projects/1"}
    detail = {"@type": f"{_TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}
    if reason == "SERVICE_DISABLED":
        message = (
            "Google My Business API has not been used in project 1 before or it is disabled. Enable it by visiting "
            f"https://console.developers.google.com/apis/api/{service}/overview?project=1 then retry."
        )
        return error(403, message, [_HELP, detail])
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return error(403, "Request had insufficient authentication scopes.", [detail])
    return error(403)


REVOKED = ("invalid_grant", "Token has been expired or revoked.")


def oauth_error(name: str, description: str, status: int = 400) -> Answer:
    """An error of the token and tokeninfo endpoints."""
    return Answer(status, encode({"error": name, "error_description": description}))
