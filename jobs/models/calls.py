"""A job's calls and their attempts."""

from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class ToolCall(models.Model):
    """One step's call: what it should create or change in a service, under which key, and its state."""

    class State(models.TextChoices):
        """The state of a call.

        `sent`: an attempt is, or may be, in progress; `skipped`: a person gave it up; `planned`: a dry run
        has checked it, and it is never sent.
        """

        WAITING = "waiting"
        SENT = "sent"
        RETRY = "retry"
        DONE = "done"
        FAILED = "failed"
        UNKNOWN = "unknown"
        SKIPPED = "skipped"
        PLANNED = "planned"

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
        indexes = (
            models.Index(fields=("server", "remote_id"), name="call_server_remote_id"),
            models.Index(fields=("state", "-id"), name="call_newest_by_state"),
        )
        constraints = (models.UniqueConstraint(fields=("job", "step"), name="call_step_once_a_job"),)

    def __str__(self) -> str:
        return f"{self.step} ({self.state})"


class CallAttempt(models.Model):
    """One attempt of a call. The row is committed before anything is sent: it is the intent.

    Its outcome is `lost` if the job ended during it, for example cancelled without a worker, before its
    effect could be looked up. It is in doubt like an unknown attempt, but a later round can still find out.
    """

    LOST = "lost"
    ABSENT = "absent"  # according to a person
    IN_DOUBT = (ToolCall.State.UNKNOWN, LOST)

    call = models.ForeignKey(ToolCall, models.CASCADE, related_name="tries")
    number = models.PositiveSmallIntegerField()
    epoch = models.PositiveIntegerField()
    sent_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    process = models.JSONField(
        null=True, help_text="The server process that got it: host, boot, pids, pid, start; null over HTTP"
    )

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome or 'in progress'}"
