"""The one shape of an API error: RFC 9457 problem details, whatever went wrong and wherever."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from jobs.actions import KeyReused
from jobs.workflow.graph import Fault, InvalidInput
from jobs.workflows import UnknownWorkflow

BODY_LIMIT = 1024 * 1024
MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is an error: its status, what happened in this case, and the fields at fault."""

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
        """Give the problem as an HTTP answer."""
        title = HTTPStatus(self.status).phrase
        body = {
            "type": f"urn:flightplan:problem:{self.kind or title.lower().replace(' ', '-')}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": fault.field, "message": fault.message} for fault in self.faults],
        }
        answer = HttpResponse(json.dumps(body), MEDIA_TYPE, self.status, headers=self.headers)
        answer["Cache-Control"] = "no-store"
        return answer


def not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """The view of an API address that does not exist."""
    return Problem(404, f"there is nothing at {request.path}").response()


def problem_of(error: Exception) -> Problem:
    """Give the problem that an exception amounts to; what nobody foresaw is logged and is a 500."""
    match error:
        case Problem():
            return error
        case InvalidInput():
            return Problem(422, "the launch cannot be accepted", kind="invalid-input", faults=error.faults)
        case ValidationError():
            return Problem(422, "the request has faults", kind="invalid-input", faults=_faults(error))
        case UnknownWorkflow():
            return Problem(404, str(error.args[0]), kind="unknown-workflow")
        case KeyReused():
            fault = Fault("Idempotency-Key", str(error))
            return Problem(409, str(error), kind="idempotency-key-reused", faults=[fault])
        case RequestDataTooBig():
            return _too_large()
        case HttpError():
            return Problem(error.status_code, error.message)
        case Http404():
            return Problem(404, str(error) or "there is no such thing")
    logger.error("the API failed", exc_info=error)
    return Problem(500, "something went wrong on our side; it is in our log")


def _faults(error: ValidationError) -> list[Fault]:
    """Give ninja's validation errors by the names that the user wrote: no "query" or "path" before them."""
    return [
        Fault(".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0]), one["msg"])
        for one in error.errors
    ]


def _too_large() -> Problem:
    return Problem(413, f"a request's body may have {BODY_LIMIT} bytes at most")


def install(api: NinjaAPI) -> None:
    """Make an API answer every error as a problem."""
    for kind in (Exception, HttpError, ValidationError, Http404):
        api.add_exception_handler(kind, lambda request, error: problem_of(error).response())


def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an API view: no sign-in page before it, a cap on the body, and problems instead of bare errors."""

    def before(request: HttpRequest) -> None:
        announced = request.META.get("CONTENT_LENGTH") or "0"  # none for a chunked body
        if not announced.isdecimal() or int(announced) > BODY_LIMIT or len(request.body) > BODY_LIMIT:
            raise _too_large()

    def after(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = response["Allow"]
            detail = f"{request.method} is not possible here; there is {allowed}"
            return Problem(405, detail, headers={"Allow": allowed}).response()
        return response

    @wraps(view)
    def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            before(request)
            return after(request, view(request, *args, **kwargs))
        except Exception as error:
            return problem_of(error).response()

    @wraps(view)
    async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            before(request)
            return after(request, await view(request, *args, **kwargs))
        except Exception as error:
            return problem_of(error).response()

    wrapper = async_view if iscoroutinefunction(view) else sync_view
    wrapper.login_required = False  # type: ignore[attr-defined]  # LoginRequiredMiddleware: we say 401 ourselves
    wrapper.csrf_exempt = True  # type: ignore[attr-defined]  # api_auth checks it for sessions
    return wrapper
