"""The app's name and label."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """What running is: jobs, their events, calls and artifacts."""

    name = "jobs"
    verbose_name = "Jobs"
    default_auto_field = "django.db.models.BigAutoField"
