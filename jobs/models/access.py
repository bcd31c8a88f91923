"""API tokens and the heartbeats of workers."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

#: A worker whose last beat is older than this counts as dead.
FRESH = timedelta(seconds=15)


class WorkerBeat(models.Model):
    """The last heartbeat of a worker process; readiness checks the most recent one."""

    worker = models.CharField(max_length=80, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    servers = models.JSONField(default=dict, help_text="State of each tool server at the last heartbeat")

    def __str__(self) -> str:
        return self.worker


class ApiToken(models.Model):
    """A token for the API. Only its SHA-256 is stored; `scopes` are some of read, launch and spend."""

    SCOPES = ("read", "launch", "spend")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} {' '.join(self.scopes)}"

    @classmethod
    def make(cls, user: User, scopes: list[str], days: int = 90) -> str:
        """Create a token valid for `days` days and return its plain text, which is never stored."""
        plain = "fp_" + secrets.token_urlsafe(32)
        expires = timezone.now() + timedelta(days=days)
        cls.objects.create(user=user, digest=cls.digest_of(plain), scopes=scopes, expires_at=expires)
        return plain

    @staticmethod
    def digest_of(plain: str) -> str:
        """Return the stored form of a token's plain text."""
        return hashlib.sha256(plain.encode()).hexdigest()

    @classmethod
    def find(cls, plain: str) -> "ApiToken | None":
        """Return the valid token with this plain text, or None."""
        rows = cls.objects.select_related("user")
        return rows.filter(
            digest=cls.digest_of(plain), expires_at__gt=timezone.now(), user__is_active=True
        ).first()
