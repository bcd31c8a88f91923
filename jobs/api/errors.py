"""API errors: every one is returned as RFC 9457 problem details."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import bad_request as bad_request_page
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from jobs.acts.actions import ActionRefused, Changed, KeyReused, MayNotSpend, StepNotFound
from jobs.engine.inputs import Fault, InvalidInput
from jobs.registry import UnknownWorkflow

BODY_LIMIT = 1024 * 1024
MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)


class Problem(Exception):
    """An error response: its status, what happened, and the invalid fields."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind
        self.faults, self.headers = list(faults), dict(headers or {})

    def response(self) -> HttpResponse:
        """Return the problem as an HTTP response."""
        title = HTTPStatus(self.status).phrase
        body = {
            "type": f"urn:flightplan:problem:{self.kind or title.lower().replace(' ', '-')}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": fault.field, "message": fault.message} for fault in self.faults],
        }
        response = HttpResponse(json.dumps(body), MEDIA_TYPE, self.status, headers=self.headers)
        response["Cache-Control"] = "no-store"
        return response


def not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Return 404 for an unknown API address."""
    return Problem(404, f"there is nothing at {request.path}").response()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the 400 response of a request that is refused before it reaches a view.

    API and health addresses get a problem, pages the HTML error page.
    """
    if not request.path.removeprefix(settings.BASE_PATH).startswith(("api/", "healthz", "readyz")):
        return bad_request_page(request, exception)
    return problem_of(exception).response()


def problem_of(error: Exception) -> Problem:
    """Return the problem that describes an exception. An unexpected exception is logged and becomes a 500."""
    match error:
        case Problem():
            return error
        case InvalidInput():
            return Problem(422, "the launch is invalid", kind="invalid-input", faults=error.faults)
        case ValidationError():
            return Problem(422, "the request is invalid", kind="invalid-input", faults=_faults(error))
        case UnknownWorkflow():
            return Problem(404, str(error.args[0]), kind="unknown-workflow")
        case KeyReused():
            fault = Fault("Idempotency-Key", str(error))
            return Problem(409, str(error), kind="idempotency-key-reused", faults=[fault])
        case MayNotSpend():
            return Problem(403, str(error), kind="may-not-spend")
        case Changed():
            return Problem(409, str(error), kind="changed", faults=[Fault("hash", str(error))])
        case ActionRefused():
            return Problem(409, str(error), kind="not-now")
        case StepNotFound():
            return Problem(404, str(error), kind="unknown-step")
        case RequestDataTooBig():
            return _too_large()
        case HttpError():
            return Problem(error.status_code, error.message)
        case DisallowedHost():
            return Problem(400, "this host name is not in ALLOWED_HOSTS")
        case SuspiciousOperation() | BadRequest() | MultiPartParserError():
            return Problem(400, "the request cannot be read")
        case Http404():
            return Problem(404, str(error) or "not found")
    logger.error("unexpected error in the API", exc_info=error)
    return Problem(500, "internal error; see the server's log")


def _faults(error: ValidationError) -> list[Fault]:
    """Return ninja's validation errors under the field names the user sent, without "query" or "path"."""
    return [
        Fault(".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0]), one["msg"])
        for one in error.errors
    ]


def json_body(request: HttpRequest) -> bytes:
    """Return the request's body. Raises Problem if its content type is not JSON."""
    if request.body and (request.content_type or "").lower() not in ("", "application/json"):
        raise Problem(415, f"send the body as application/json, not as {request.content_type}")
    return request.body


def _before(request: HttpRequest) -> None:
    """Refuse a body that is too large, and treat HEAD as GET."""
    announced = request.META.get("CONTENT_LENGTH") or "0"  # none for a chunked body
    if not announced.isdecimal() or int(announced) > BODY_LIMIT or len(request.body) > BODY_LIMIT:
        raise _too_large()
    if request.method == "HEAD":
        request.method = "GET"


def _after(request: HttpRequest, asked: str, response: HttpResponseBase) -> HttpResponseBase:
    """Adapt a response to the method of the request: HEAD has no body, OPTIONS and 405 list the methods."""
    request.method = asked
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return not_possible(request, response["Allow"])
    if asked == "HEAD":
        headers = {name: value for name, value in response.items() if name != "Content-Length"}
        return HttpResponse(status=response.status_code, headers=headers)
    return response


def not_possible(request: HttpRequest, allowed: str) -> HttpResponse:
    """Return the allowed methods of an address: as 204 to OPTIONS, as a 405 problem to any other method."""
    methods = {word.strip() for word in allowed.split(",")} | {"OPTIONS"}
    methods |= {"HEAD"} if "GET" in methods else set()
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=headers)
    detail = f"{request.method} is not allowed here; use {headers['Allow']}"
    return Problem(405, detail, headers=headers).response()


def _too_large() -> Problem:
    return Problem(413, f"the body of a request is limited to {BODY_LIMIT} bytes")


def install(api: NinjaAPI) -> None:
    """Make an API return every error as a problem."""

    def handle(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        return problem_of(error if isinstance(error, Exception) else error()).response()

    for kind in (Exception, HttpError, ValidationError, Http404):
        api.add_exception_handler(kind, handle)


def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an API view: no redirect to the sign-in page, a limited body, and every error as a problem."""

    @wraps(view)
    def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = request.method or ""
        try:
            _before(request)
            return _after(request, asked, view(request, *args, **kwargs))
        except Exception as error:
            return _after(request, asked, problem_of(error).response())

    @wraps(view)
    async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = request.method or ""
        try:
            _before(request)
            return _after(request, asked, await view(request, *args, **kwargs))
        except Exception as error:
            return _after(request, asked, problem_of(error).response())

    wrapper: Callable[..., Any] = async_view if iscoroutinefunction(view) else sync_view
    return csrf_exempt(login_not_required(wrapper))  # the operation's `auth` checks both
