"""What the installation remembers: jobs, events, calls with their attempts, artifacts, tokens, workers."""

import hashlib
import secrets
import uuid
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from jobs.workflow.results import ENDED_JOB, JobStatus, Source

ENDED = tuple(sorted(ENDED_JOB))


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs by who may see them and by how they stand."""

    def visible_to(self, user) -> "JobQuerySet":
        """Give the jobs this user may see: their own; staff see all."""
        return self if user.is_staff else self.filter(owner_id=user.pk)

    def open(self) -> "JobQuerySet":
        """Give the jobs that have not ended."""
        return self.exclude(status__in=ENDED)


class Job(models.Model):
    """One launch. The row is the queue: a job that has not ended and has no live lease is taken by a worker.

    `epoch` counts the takings; every write of a worker carries it, so that a worker whose lease is lost
    changes nothing. `last_seq` is the seq of the newest event and is only moved under this row's lock.
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
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    request_hash = models.CharField(max_length=64, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("owner", "-created_at"), name="job_owner_created"),
            models.Index(fields=("status", "-created_at"), name="job_status_created"),
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
        """Tell whether the job has come to its end."""
        return self.status in ENDED

    @property
    def folder(self) -> str:
        """Give the job's folder inside the artifact storage."""
        return f"jobs/{self.id}"


class WorkflowEvent(models.Model):
    """One event of a job's log: `seq` counts from 1 without gaps, in the order of commitment."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    payload = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("job", "seq")
        constraints = (models.UniqueConstraint(fields=("job", "seq"), name="event_seq_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class ToolCall(models.Model):
    """One step's call: what is meant to exist outside, under which key, and how it stands."""

    class State(models.TextChoices):
        """How a call stands; `sent` means that an attempt is, or may be, under way."""

        WAITING = "waiting"
        SENT = "sent"
        RETRY = "retry"
        DONE = "done"
        FAILED = "failed"
        UNKNOWN = "unknown"

    job = models.ForeignKey(Job, models.CASCADE, related_name="calls")
    step = models.CharField(max_length=200)
    stage = models.CharField(max_length=40)
    item = models.CharField(max_length=200, blank=True)
    server = models.CharField(max_length=80)
    tool = models.CharField(max_length=120)
    key = models.CharField(max_length=64)
    args = models.JSONField()
    args_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    waited = models.FloatField(
        default=0, help_text="Seconds spent waiting for a permit, all attempts together"
    )
    took = models.FloatField(default=0, help_text="Seconds the last attempt took")
    source = models.CharField(max_length=12, blank=True)
    reply = models.JSONField(null=True, blank=True)
    remote_id = models.CharField(max_length=300, blank=True)
    remote_url = models.CharField(max_length=2000, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("server", "remote_id"), name="call_server_remote_id"),)
        constraints = (models.UniqueConstraint(fields=("job", "step"), name="call_step_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.step} ({self.state})"


class CallAttempt(models.Model):
    """One sending of a call. The row is committed before anything is sent: it is the intent."""

    call = models.ForeignKey(ToolCall, models.CASCADE, related_name="tries")
    number = models.PositiveSmallIntegerField()
    epoch = models.PositiveIntegerField()
    sent_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, blank=True)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome or 'under way'}"


class Artifact(models.Model):
    """One thing that a job made: where it opens, what it really is, and our own copy."""

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
        constraints = (models.UniqueConstraint(fields=("job", "name"), name="artifact_name_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.source})"


class WorkerBeat(models.Model):
    """A worker process that says it is alive; readiness looks at the freshest one."""

    worker = models.CharField(max_length=80, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    servers = models.JSONField(default=dict, help_text="How each tool server stood at the last beat")

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
    def make(cls, user, scopes: list[str], days: int = 90) -> str:
        """Store a new token for `days` days and give its plain text, which is never stored."""
        plain = "fp_" + secrets.token_urlsafe(32)
        expires = timezone.now() + timedelta(days=days)
        cls.objects.create(user=user, digest=cls.digest_of(plain), scopes=scopes, expires_at=expires)
        return plain

    @staticmethod
    def digest_of(plain: str) -> str:
        """Give the stored form of a token's plain text."""
        return hashlib.sha256(plain.encode()).hexdigest()

    @classmethod
    def find(cls, plain: str) -> "ApiToken | None":
        """Give the live token of this plain text, or None."""
        rows = cls.objects.select_related("user")
        return rows.filter(
            digest=cls.digest_of(plain), expires_at__gt=timezone.now(), user__is_active=True
        ).first()
