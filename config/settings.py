"""Django's settings, made from the environment variables that config/environment.py declares."""

import contextlib
import os
import secrets
import sys
import tempfile
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF

from config.environment import BASE_DIR, BadEnvironment, read_environment

environment = read_environment()

DATA_DIR = environment.data_dir.resolve()
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise BadEnvironment(f"DATA_DIR is {str(DATA_DIR)!r}; it cannot be created: {error.strerror}") from None


def stored_secret(name: str) -> str:
    """Return the secret that this file of DATA_DIR holds; generate and store it on the first call.

    The file appears with its whole content: two processes that start together read the same secret, and
    neither reads an empty file.
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


SECRET_KEY = environment.secret_key or stored_secret("secret_key")
# Part of every effect key, so that two installations never adopt each other's effects.
INSTALLATION = stored_secret("installation")
DEBUG = environment.debug
ALLOWED_HOSTS = list(environment.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(environment.csrf_trusted_origins)

# Where users reach the site, usually through a proxy. The proxy passes the path on unchanged.
PUBLIC_URL = environment.public_url
TRUSTED_PROXIES = environment.trusted_proxies
_public = urlsplit(PUBLIC_URL)
BASE_PATH = f"{_public.path}/"
if PUBLIC_URL:
    ALLOWED_HOSTS.append(f"[{_public.hostname}]" if ":" in str(_public.hostname) else str(_public.hostname))
    CSRF_TRUSTED_ORIGINS.append(f"{_public.scheme}://{_public.netloc}")
CSRF_FAILURE_VIEW = "config.proxies.csrf_failure"
HTTPS = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = BASE_PATH
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if HTTPS else 0
# Without a trusted proxy each request appears to be plain HTTP, and a redirect would never end.
SECURE_SSL_REDIRECT = HTTPS and bool(TRUSTED_PROXIES)
SECURE_SSL_HOST = _public.netloc or None
SECURE_REDIRECT_EXEMPT = [r"(^|/)(healthz|readyz)$"]  # probes ask the process itself
# HSTS for subdomains, and preloading, affect other sites; their owner decides that on the proxy.
# Documents are shown in frames of the site's own pages, so X-Frame-Options is not DENY.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W019", "security.W021"]

INSTALLED_APPS = [
    # only runserver needs it here; elsewhere it would import Twisted into each worker and command
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin.apps.SimpleAdminConfig",  # config/urls.py discovers the admin classes
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
        environment.database_url or f"sqlite:///{DATA_DIR / 'flightplan.sqlite3'}", conn_max_age=600
    )
}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if SQLITE:
    # FULL: an acknowledged commit survives a power cut. IMMEDIATE: a transaction that reads and then writes
    # never fails because another one took the lock in between.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }

LEASE_SECONDS = environment.lease_seconds
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # A process that is suspended inside a transaction keeps its rows locked. The database ends that
    # transaction before the lease expires, so that the worker that takes over does not wait for it.
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _idle = f"-c idle_in_transaction_session_timeout={max(1000, int(LEASE_SECONDS * 500))}"
    _options["options"] = f"{_options.get('options', '')} {_idle}".strip()

# Huey wakes the worker and runs its tasks; the queue itself is the table of jobs.
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
    else {"huey_class": "huey.PostgresHuey", "dsn": environment.database_url}
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

STATIC_URL = f"{BASE_PATH}static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns about a missing folder
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = DATA_DIR

DATA_UPLOAD_MAX_NUMBER_FIELDS = 4000  # a launch form with the most rows it allows has about 2,000

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

# Dotted paths of what jobs needs from campaigns, which it does not import.
WORKFLOWS = ["campaigns.workflow.LIFECYCLE"]
TOOL_ROLES = "campaigns.roles.ROLES"
BUNDLED_SERVERS = "campaigns.roles.bundled_servers"

TOOL_SERVERS = environment.tool_servers
ADMIN_PASSWORD = environment.admin_password
RETRY_BACKOFF = environment.retry_backoff
JOBS_AT_ONCE = environment.jobs_at_once
STUCK_SECONDS = environment.stuck_seconds
RETENTION_DAYS = environment.retention_days
LOCAL_LATENCY = environment.local_latency

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {
        # /readyz answers 503 while the site is not ready; that is no error to log
        "answered": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["answered"]}},
    "root": {"handlers": ["console"], "level": environment.log_level},
}
