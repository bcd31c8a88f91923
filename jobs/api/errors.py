"""The one shape of an API error: RFC 9457 problem details, whatever went wrong and wherever."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
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


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what is refused before any view has a say: programs get a problem, browsers the page."""
    if not request.path.removeprefix(settings.BASE_PATH).startswith(("api/", "healthz", "readyz")):
        return bad_request_page(request, exception)
    return problem_of(exception).response()


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
            return Problem(400, "this site is not asked for under that name: ALLOWED_HOSTS says under which")
        case SuspiciousOperation() | BadRequest() | MultiPartParserError():
            return Problem(400, "the request cannot be read")
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


def json_body(request: HttpRequest) -> bytes:
    """Give a request's body. Raises Problem where it calls itself something else than JSON."""
    if request.body and (request.content_type or "").lower() not in ("", "application/json"):
        raise Problem(415, f"send the body as application/json, not as {request.content_type}")
    return request.body


def _before(request: HttpRequest) -> None:
    """Refuse a body that is too large; let HEAD be answered as GET is."""
    announced = request.META.get("CONTENT_LENGTH") or "0"  # none for a chunked body
    if not announced.isdecimal() or int(announced) > BODY_LIMIT or len(request.body) > BODY_LIMIT:
        raise _too_large()
    if request.method == "HEAD":
        request.method = "GET"


def _after(request: HttpRequest, asked: str, response: HttpResponseBase) -> HttpResponseBase:
    """Give the answer that the method asked for: to HEAD no body, to OPTIONS and to an impossible one what is
    possible."""
    request.method = asked
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return not_possible(request, response["Allow"])
    if asked == "HEAD":
        headers = {name: value for name, value in response.items() if name != "Content-Length"}
        return HttpResponse(status=response.status_code, headers=headers)
    return response


def not_possible(request: HttpRequest, allowed: str) -> HttpResponse:
    """Give what is possible at an address: the answer to OPTIONS, and the problem of any other method."""
    methods = {word.strip() for word in allowed.split(",")} | {"OPTIONS"}
    methods |= {"HEAD"} if "GET" in methods else set()
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=headers)
    detail = f"{request.method} is not possible here; there is {headers['Allow']}"
    return Problem(405, detail, headers=headers).response()


def _too_large() -> Problem:
    return Problem(413, f"a request's body may have {BODY_LIMIT} bytes at most")


def install(api: NinjaAPI) -> None:
    """Make an API answer every error as a problem."""
    for kind in (Exception, HttpError, ValidationError, Http404):
        api.add_exception_handler(kind, lambda request, error: problem_of(error).response())


def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an API view: no sign-in page before it, a cap on the body, and problems instead of bare errors."""

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

    wrapper = async_view if iscoroutinefunction(view) else sync_view
    wrapper.login_required = False  # type: ignore[attr-defined]  # LoginRequiredMiddleware: we say 401 ourselves
    wrapper.csrf_exempt = True  # type: ignore[attr-defined]  # api_auth checks it for sessions
    return wrapper
