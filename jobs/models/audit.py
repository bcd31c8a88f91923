"""The audit log: what people did to jobs."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class AuditIsFinal(TypeError):
    """Raised on an attempt to change or delete an audit entry; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("audit entries cannot be changed or deleted")


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Audit entries, which can be added and read only."""

    def update(self, **values: Any) -> NoReturn:
        """Raise AuditIsFinal."""
        raise AuditIsFinal

    def delete(self) -> NoReturn:
        """Raise AuditIsFinal."""
        raise AuditIsFinal


class AuditEntry(models.Model):
    """What a person did to a job, and when; never changed once written.

    A trigger in the database rejects changed rows too. A job with entries cannot be deleted.
    """

    class Act(models.TextChoices):
        """The actions on a job after its launch."""

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
        """Store a new entry. Raises AuditIsFinal if it is stored already."""
        if not self._state.adding:
            raise AuditIsFinal
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise AuditIsFinal."""
        raise AuditIsFinal
