"""The configuration of the jobs app."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """The app that runs jobs and keeps their events, calls and artifacts."""

    name = "jobs"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"
