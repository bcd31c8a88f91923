"""The addresses of the API and of health. Include it last: it answers whatever else is asked under /api/."""

from django.urls import include, path, re_path
from django.urls.resolvers import URLPattern

from jobs import health
from jobs.api import api
from jobs.api_errors import guarded, not_found

patterns, app, namespace = api.urls  # "app_name" would name this very module to Django
for pattern in patterns:
    if isinstance(pattern, URLPattern):
        pattern.callback = guarded(not_found if pattern.name == "api-root" else pattern.callback)

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/", include((patterns, app), namespace)),
    re_path(r"^api/", guarded(not_found)),
]
