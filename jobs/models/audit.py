"""What people did to jobs."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class AuditIsFinal(TypeError):
    """Somebody tried to change or remove what the audit log holds; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the audit log is written once: an entry is neither changed nor removed")


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Audit entries, to add and to read."""

    def update(self, **values: Any) -> NoReturn:
        """Refuse."""
        raise AuditIsFinal

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AuditIsFinal


class AuditEntry(models.Model):
    """What a person did to a job, and when; written once, never changed.

    The database refuses a changed row too, by a trigger. A job with entries cannot be removed.
    """

    class Act(models.TextChoices):
        """What people can do to a job after its launch."""

        CANCEL = "cancel"
        RETRY = "retry"
        RESOLVE = "resolve"
        ACTIVATE = "activate"

    job = models.ForeignKey(Job, models.PROTECT, related_name="audit")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    act = models.CharField(max_length=12, choices=Act.choices)
    stage = models.CharField(max_length=40, blank=True)
    step = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=12, blank=True, help_text="Of a resolve: exists, absent or skip")
    remote_id = models.CharField(max_length=300, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="Of what was shown before an activation")
    details = models.JSONField(
        null=True, blank=True, help_text="Of an activation: its lines and their sums, as they were shown"
    )

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("act", "-id"), name="audit_newest_by_act"),)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.act} by {self.by}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new entry. Raises AuditIsFinal for one that is stored already."""
        if not self._state.adding:
            raise AuditIsFinal
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AuditIsFinal
