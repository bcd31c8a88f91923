"""Settings, every one of them read from the environment; the README lists them all."""

import contextlib
import os
import secrets
import sys
import tempfile
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    """Give an environment variable, or the default when it is unset or empty."""
    return os.environ.get(name) or default


def env_list(name: str, default: str = "") -> list[str]:
    """Give the words of a variable that holds a comma-separated list."""
    return [word.strip() for word in env(name, default).split(",") if word.strip()]


DATA_DIR = Path(env("DATA_DIR", str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)


def stored_secret(name: str) -> str:
    """Give the secret kept in this file of DATA_DIR; it is made up the first time.

    It appears whole or not at all: two processes that start at once get the same, and never an empty one.
    """
    path = DATA_DIR / name
    if not path.exists():
        handle, part = tempfile.mkstemp(prefix=f"{name}.", dir=DATA_DIR)  # readable by its owner only
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
        finally:
            os.unlink(part)
    return path.read_text().strip()


SECRET_KEY = env("SECRET_KEY") or stored_secret("secret_key")
# Part of every effect key: two installations never take each other's effects for their own.
INSTALLATION = stored_secret("installation")
DEBUG = env("DEBUG") in ("1", "true", "yes", "on")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    # only runserver asks for it here, and it would import Twisted into each worker and command
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin.apps.SimpleAdminConfig",  # config/urls.py looks for the admin classes
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_htmx",
    "huey.contrib.djhuey",
    "ninja",  # the scripts and styles of /api/docs
    "jobs",
    "campaigns",
]

MIDDLEWARE = [
    "jobs.live.handback.handing_back",  # outermost
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES = {
    "default": dj_database_url.parse(
        env("DATABASE_URL", f"sqlite:///{DATA_DIR / 'flightplan.sqlite3'}"), conn_max_age=600
    )
}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if SQLITE:
    # FULL: an acknowledged commit survives a power cut. IMMEDIATE: read-modify-write never meets a lock.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }

LEASE_SECONDS = float(env("LEASE_SECONDS", "30"))
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # A process that is stopped inside a transaction keeps its rows locked: the server ends that transaction
    # before the lease runs out, or whoever takes over would wait for as long as the other sleeps.
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _idle = f"-c idle_in_transaction_session_timeout={max(1000, int(LEASE_SECONDS * 500))}"
    _options["options"] = f"{_options.get('options', '')} {_idle}".strip()

# Huey is the doorbell and the house the work runs in; the job rows are the queue.
HUEY = {
    "name": "flightplan",
    "immediate": False,
    "results": False,
    "utc": True,
} | (
    {
        "huey_class": "huey.SqliteHuey",
        "filename": str(DATA_DIR / "huey.sqlite3"),
        "fsync": True,
        "timeout": 20,
    }
    if SQLITE
    else {"huey_class": "huey.PostgresHuey", "dsn": env("DATABASE_URL")}
)

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "jobs"
LOGOUT_REDIRECT_URL = "sign-in"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns of a folder that is not there
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = DATA_DIR

DATA_UPLOAD_MAX_NUMBER_FIELDS = 4000  # a launch form at its row limits has some 2,000

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "frame-ancestors": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
    }
}

# What jobs needs to know of the application that uses it, by dotted path: it imports nothing of campaigns.
WORKFLOWS = ["campaigns.workflow.LIFECYCLE"]
TOOL_ROLES = "campaigns.roles.ROLES"
BUNDLED_SERVERS = "campaigns.roles.bundled_servers"

TOOL_SERVERS = env("TOOL_SERVERS")
ADMIN_PASSWORD = env("ADMIN_PASSWORD")
RETRY_BACKOFF = float(env("RETRY_BACKOFF", "1"))
JOBS_AT_ONCE = int(env("JOBS_AT_ONCE", "16"))
PUBLIC_URL = env("PUBLIC_URL").rstrip("/")
STUCK_SECONDS = float(env("STUCK_SECONDS", "300"))
RETENTION_DAYS = int(env("RETENTION_DAYS", "90"))
LOCAL_LATENCY = env("LOCAL_LATENCY")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        # «not ready» is an answer to whoever asks, not a fault of ours
        "answered": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["answered"]}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", "WARNING").upper()},
}
