"""Settings of a command that acts on an installation elsewhere: no folder, secret, database or queue."""

import os

SECRET_KEY = "signs nothing"  # noqa: S105  # Django wants one
DATABASES: dict[str, object] = {}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "jobs"]
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": (os.environ.get("LOG_LEVEL") or "WARNING").upper()},
}
