"""The addresses of the API and of health. Include it last: it handles every other address under /api/."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.urls.resolvers import URLPattern
from django.views.decorators.http import require_safe
from ninja.openapi.docs import Swagger

from jobs.api import health as probes
from jobs.api.errors import guarded, not_found
from jobs.api.operations import api

patterns, app, namespace = api.urls  # Django would read a variable "app_name" in this module
for pattern in patterns:
    if isinstance(pattern, URLPattern):
        # ninja's view of the document accepts any method
        view = require_safe(pattern.callback) if pattern.name == "openapi-json" else pattern.callback
        pattern.callback = guarded(not_found if pattern.name == "api-root" else view)


@require_safe
def reference_page(request: HttpRequest) -> HttpResponse:
    """Show every operation of the API, to signed-in users."""
    return Swagger().render_page(request, api)


health = [
    path("healthz", guarded(require_safe(probes.healthz)), name="healthz"),
    path("readyz", guarded(require_safe(probes.readyz)), name="readyz"),
]
urlpatterns = [
    *health,
    path("api/docs", reference_page, name="api-docs"),
    path("api/", include((patterns, app), namespace)),
    re_path(r"^api/", guarded(not_found)),
]
