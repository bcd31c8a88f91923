"""Authentication of API operations and plain views: a token with scopes, or a session with CSRF."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from jobs.api.errors import Problem, not_possible, problem_of
from jobs.models import ApiToken

SAFE = ("GET", "HEAD", "OPTIONS")
CHALLENGE = 'Bearer realm="flightplan"'


@dataclass(frozen=True)
class Caller:
    """The authenticated user and their scopes; `token` is None for a session."""

    user: User
    scopes: frozenset[str]
    token: ApiToken | None = None


def authorize(request: HttpRequest, scope: str) -> Caller:
    """Authenticate the request, require the scope, set `request.user` and return the caller.

    If there is an Authorization header, only that counts. Raises Problem: 401 without a session or a valid
    token, 403 for a missing scope or a session request without its CSRF token.
    """
    caller = _by_token(request) if "Authorization" in request.headers else _by_session(request)
    if scope not in caller.scopes:
        raise Problem(
            403,
            f"this token lacks the scope {scope}; it has: {', '.join(sorted(caller.scopes))}",
            kind="missing-scope",
            headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
        )
    request.user = caller.user
    return caller


def still_allowed(request: HttpRequest, caller: Caller) -> bool:
    """Return whether the caller's token or session is still valid, for responses that stay open."""
    if caller.token:
        return ApiToken.objects.filter(
            pk=caller.token.pk, expires_at__gt=timezone.now(), user__is_active=True
        ).exists()
    probe = HttpRequest()  # the request itself caches its session and user
    probe.session = type(request.session)(request.session.session_key)
    return bool(get_user(probe).pk == caller.user.pk)


def _by_token(request: HttpRequest) -> Caller:
    kind, _, plain = request.headers["Authorization"].partition(" ")
    token = ApiToken.find(plain.strip()) if kind.lower() == "bearer" else None
    if token is None:
        raise Problem(
            401,
            "the token is unknown or has expired",
            kind="invalid-token",
            headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
        )
    return Caller(token.user, frozenset(token.scopes), token)


def _by_session(request: HttpRequest) -> Caller:
    if not request.user.is_authenticated:
        raise Problem(
            401,
            "sign in, or send a token: Authorization: Bearer ...",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    if request.method not in SAFE and check_csrf(request):
        raise Problem(403, "the CSRF token is missing or wrong: send it as X-CSRFToken", kind="csrf")
    return Caller(request.user, frozenset(ApiToken.SCOPES))


class Token(HttpBearer):
    """Ninja authentication by a token that has a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Return the caller, or None if no token was sent. Raises Problem."""
        return authorize(request, self.scope) if "Authorization" in request.headers else None

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """Return the caller. Ninja requires this method, but only `__call__` is used."""
        return authorize(request, self.scope)


class Session(APIKeyCookie):
    """Ninja authentication by the session of a signed-in browser."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> Caller:
        """Return the caller. Raises Problem."""
        return authorize(request, "read")

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        """Return the caller. Ninja requires this method, but only `__call__` is used."""
        return authorize(request, "read")


def requires(scope: str) -> list[Token | Session]:
    """Return the `auth` of an operation: a token with this scope, or a session."""
    return [Token(scope), Session()]


def signed_in_or_token(scope: str = "read") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a plain view, sync or async, so that sessions and tokens with this scope can call it.

    The decorator sets `request.user`. Errors are returned as problem details, 401 included. A browser that
    navigates to the address is redirected to the sign-in page or sees the usual error page instead.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def sync_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                authorize(request, scope)
                return _possible(request, view(request, *args, **kwargs))
            except Exception as error:
                return _refused(request, error)

        @wraps(view)
        async def async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                await sync_to_async(authorize)(request, scope)
                return _possible(request, await view(request, *args, **kwargs))
            except Exception as error:
                return _refused(request, error)

        wrapper: Callable[..., Any] = async_view if iscoroutinefunction(view) else sync_view
        return csrf_exempt(login_not_required(wrapper))  # `authorize` checks both

    return decorate


def _possible(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return not_possible(request, response["Allow"])
    return response


def _refused(request: HttpRequest, error: Exception) -> HttpResponseBase:
    """Respond to page navigation with a redirect or an error page, to anything else with a problem."""
    by_hand = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if by_hand and "Authorization" not in request.headers:
        if not isinstance(error, Problem):
            raise error
        if error.status == HTTPStatus.UNAUTHORIZED:
            return redirect_to_login(request.get_full_path(), reverse("sign-in"))
    return problem_of(error).response()
