"""The addresses of jobs: pages, files, signing in and out."""

from django.contrib.auth import views as auth
from django.urls import include, path

from jobs.pages import act_views, downloads, signin, spend_views, views

urlpatterns = [
    path("", views.job_list, name="jobs"),
    path("jobs/<uuid:job_id>/", views.job_page, name="job"),
    path("jobs/<uuid:job_id>/progress", views.job_progress, name="job-progress"),
    path("jobs/<uuid:job_id>/cancel", act_views.cancel, name="job-cancel"),
    path("jobs/<uuid:job_id>/retry", act_views.retry, name="job-retry"),
    path("jobs/<uuid:job_id>/activate", spend_views.activate, name="job-activate"),
    path("jobs/<uuid:job_id>/steps/<path:step>/", act_views.step, name="step"),
    path("jobs/<uuid:job_id>/documents/<str:name>", downloads.document, name="document"),
    path("api/jobs/<uuid:job_id>/artifacts/<str:name>", downloads.artifact, name="artifact"),
    path("api/jobs/<uuid:job_id>/bundle.zip", downloads.bundle, name="bundle"),
    path("local/<str:role>/<path:path>", downloads.world, name="world"),
    path("connections/", views.connections, name="connections"),
    path("sign-in/", auth.LoginView.as_view(redirect_authenticated_user=True), name="sign-in"),
    path("sign-in/<str:token>/", signin.sign_in_link, name="sign-in-link"),
    path("sign-out/", auth.LogoutView.as_view(), name="sign-out"),
    path("", include("jobs.api.urls")),  # last: it answers for whatever else is under /api/
]
