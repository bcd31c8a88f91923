"""A job, its event log and its artifacts."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.utils import timezone

from jobs.engine.results import ENDED_JOB, JobStatus, Source

ENDED = tuple(sorted(ENDED_JOB))


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs, filtered by who may see them or by state."""

    def visible_to(self, user: User | AnonymousUser) -> "JobQuerySet":
        """Return the jobs that this user may see: all for staff, otherwise the user's own."""
        return self if user.is_staff else self.filter(owner_id=user.pk)

    def open(self) -> "JobQuerySet":
        """Return the jobs that have not ended."""
        return self.exclude(status__in=ENDED)


class Job(models.Model):
    """One launch. The table is the queue: workers claim jobs that have not ended and have no valid lease.

    `epoch` counts the claims. Every write of a worker carries it, so that one that lost its lease changes
    nothing. `last_seq` is the seq of the newest event and changes only under this row's lock.
    """

    Status: ClassVar = JobStatus

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs")
    workflow = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    params = models.JSONField()
    plan = models.JSONField(help_text="The stages of this job, as it was launched: [[id, name], ...]")
    status = models.CharField(
        max_length=12, default=JobStatus.QUEUED, choices=[(one.value, one.value) for one in JobStatus]
    )
    stages_ended = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    last_seq = models.PositiveIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=0)
    leased_by = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    round = models.PositiveSmallIntegerField(default=1, help_text="1 for the launch, plus 1 for each retry")
    again = models.JSONField(
        default=list, blank=True, help_text="Stages to run once more when this round ends: [id, ...]"
    )
    crashes = models.PositiveSmallIntegerField(
        default=0, help_text="Consecutive worker deaths during the same step of this job"
    )
    suspects = models.JSONField(default=list, blank=True, help_text="What was in progress when they died")
    spend_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who allowed this job to commit spend; nobody by default",
    )
    dry_run = models.BooleanField(
        default=False, help_text="Everything is checked and listed; nothing is sent"
    )
    confirmed = models.JSONField(
        null=True,
        blank=True,
        help_text="What was last allowed to go live: {digest, by, at, lines}, exactly as it was shown",
    )
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    request_hash = models.CharField(max_length=64, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        permissions = (("spend", "Can set prepared lines live, which commits spend"),)
        indexes = (
            # the lists, newest first: of all, of an owner, of a status, of both
            models.Index(fields=("-created_at", "-id"), name="job_newest"),
            models.Index(fields=("owner", "-created_at", "-id"), name="job_newest_by_owner"),
            models.Index(fields=("status", "-created_at", "-id"), name="job_newest_by_status"),
            models.Index(fields=("owner", "status", "-created_at", "-id"), name="job_newest_by_both"),
            models.Index(
                fields=("lease_until", "created_at"),
                name="job_open_lease",
                condition=~models.Q(status__in=ENDED),
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=("owner", "idempotency_key"), name="job_one_per_idempotency_key"),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.status})"

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.status in ENDED

    @property
    def folder(self) -> str:
        """Return the job's folder in the artifact storage."""
        return f"jobs/{self.id}"


class WorkflowEvent(models.Model):
    """One event of a job's log: `seq` counts from 1 without gaps, in commit order."""

    # no index: that of the constraint below serves queries by job, and each event is cheaper to write
    job = models.ForeignKey(Job, models.CASCADE, related_name="events", db_index=False)
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    payload = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("job", "seq")
        indexes = (models.Index(fields=("type", "-id"), name="event_newest_by_type"),)
        constraints = (models.UniqueConstraint(fields=("job", "seq"), name="event_seq_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Artifact(models.Model):
    """One thing that a job made: its link, its source, and our own copy."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=120)
    stage = models.CharField(max_length=40)
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    source = models.CharField(max_length=12, choices=[(one.value, one.value) for one in Source])
    url = models.CharField(max_length=2000, blank=True)
    file = models.CharField(max_length=120, blank=True)
    mime = models.CharField(max_length=100, blank=True)
    width = models.PositiveIntegerField(default=0, help_text="Pixels")
    height = models.PositiveIntegerField(default=0, help_text="Pixels")
    remote_id = models.CharField(max_length=300, blank=True)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("source", "-id"), name="artifact_newest_by_source"),)
        constraints = (models.UniqueConstraint(fields=("job", "name"), name="artifact_name_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.source})"
