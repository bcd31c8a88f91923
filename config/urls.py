"""The URLs of the whole site, below the path of PUBLIC_URL."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from jobs.api.urls import health

# browsers request it for pages without an icon link, such as documents of bundled servers
icon = login_not_required(RedirectView.as_view(url=f"{settings.STATIC_URL}favicon.svg"))

# here and not in INSTALLED_APPS: only the web process needs the admin classes, and they import a lot
admin.autodiscover()
admin.site.site_url = settings.BASE_PATH

handler400 = "jobs.api.errors.bad_request"
site: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("favicon.ico", icon),
    path("", include("jobs.urls")),
    path("", include("campaigns.urls")),
]
prefix = settings.BASE_PATH.removeprefix("/")
# probes ask the process itself, whatever the public path is
urlpatterns = [*(health if prefix else []), path(prefix, include(site))]
