"""The addresses of the API and of health. Include it last: it answers whatever else is asked under /api/."""

from django.urls import include, path, re_path
from django.urls.resolvers import URLPattern
from django.views.decorators.http import require_safe

from jobs.api import health as probes
from jobs.api.errors import guarded, not_found
from jobs.api.operations import api
from jobs.api.reference import reference

patterns, app, namespace = api.urls  # "app_name" would name this very module to Django
for pattern in patterns:
    if isinstance(pattern, URLPattern):
        # the view of the document would answer any method
        view = require_safe(pattern.callback) if pattern.name == "openapi-json" else pattern.callback
        pattern.callback = guarded(not_found if pattern.name == "api-root" else view)

health = [
    path("healthz", guarded(require_safe(probes.healthz)), name="healthz"),
    path("readyz", guarded(require_safe(probes.readyz)), name="readyz"),
]
urlpatterns = [
    *health,
    path("api/docs", reference, name="api-docs"),
    path("api/", include((patterns, app), namespace)),
    re_path(r"^api/", guarded(not_found)),
]
