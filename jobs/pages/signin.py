"""Signing in by a link that works once within an hour, for the first visit after `make demo`."""

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

SALT = "jobs.signin"
SECONDS = 3600


def make_link(user: User, next: str = "") -> str:
    """Return the path of a link that signs the user in once within an hour and redirects to `next`.

    Any later sign-in of the user and any change of the password invalidates the link.
    """
    path = reverse("sign-in-link", args=[signing.dumps(_mark(user), salt=SALT)])
    return f"{path}?{urlencode({'next': next})}" if next else path


def _mark(user: User) -> list[str]:
    last = user.last_login.isoformat() if user.last_login else ""
    return [str(user.pk), last, user.get_session_auth_hash()[:16]]


@login_not_required
@never_cache
@require_safe
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a link and redirect to a page of this site. Returns 410 for a used, old or forged link."""
    user = _take(token)
    if user is None:
        response = render(request, "registration/link_expired.html", status=410)
    else:
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        response = redirect(_safe_next(request))
    response["Referrer-Policy"] = "no-referrer"
    return response


def _take(token: str) -> User | None:
    """Consume a link and return its user, or None. Of two simultaneous visits only one gets the user."""
    try:
        pk, last, mark = signing.loads(token, salt=SALT, max_age=SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        return None  # without a query, so that guessing is cheap for us
    users = User.objects
    user = users.filter(pk=pk, is_active=True).first()
    if user is None or _mark(user) != [pk, last, mark]:
        return None
    rows = (
        users.filter(pk=pk, last_login=user.last_login)
        if user.last_login
        else users.filter(pk=pk, last_login__isnull=True)
    )
    return user if rows.update(last_login=timezone.now()) else None


def _safe_next(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    local = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if local else resolve_url(settings.LOGIN_REDIRECT_URL)
