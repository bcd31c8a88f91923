"""Settings of a command that acts on a remote installation: no folder, secret, database or queue."""

import os

from django.core.exceptions import ImproperlyConfigured

# read here, because importing config.environment takes a fifth of a second
level = (os.environ.get("LOG_LEVEL") or "WARNING").strip().upper()
if level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured(
        f"LOG_LEVEL is {os.environ['LOG_LEVEL']!r}; it must be DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )

SECRET_KEY = "signs nothing"  # noqa: S105  # Django requires one
DATABASES: dict[str, object] = {}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "jobs"]
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": level},
}
