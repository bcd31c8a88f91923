"""The addresses of the whole site."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView

# pages that are not ours to link an icon from (documents of the local world) are asked for it here
icon = login_not_required(RedirectView.as_view(url=f"{settings.STATIC_URL}favicon.svg"))

# here, not when Django starts: of all processes only the web has a use for them, and they import a lot
admin.autodiscover()

handler400 = "jobs.api.errors.bad_request"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", icon),
    path("", include("jobs.urls")),
    path("", include("campaigns.urls")),
]
