"""The addresses that are told of jobs, and the outbox of what they are told."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class Webhook(models.Model):
    """An address that is told, by a signed POST, of what happens to jobs.

    Its secret is not stored: it follows from SECRET_KEY, this row's id and `secret_version`.
    """

    class Kind(models.TextChoices):
        """What an address can be told of."""

        ENDED = "ended", "a campaign has ended, however it did"
        PARTIAL = "partial", "a campaign has ended with something missing or in doubt"
        UNKNOWN = "unknown", "nobody can say whether a call took effect: a person must answer"
        STUCK = "stuck", "a campaign has not moved for a while"

    name = models.CharField(max_length=80, unique=True, help_text="What people call it")
    # no URLField: a name inside the house has no dot. `jobs/webhooks/signing.py` says what may stand here
    url = models.CharField(max_length=500, help_text="Where the POST goes: https, or http inside the house")
    kinds = models.JSONField(
        default=list, help_text="What it is told of: some of ended, partial, unknown, stuck"
    )
    active = models.BooleanField(default=True, help_text="Whether anything is sent")
    allow_private = models.BooleanField(
        "may be inside the house",
        default=False,
        help_text="Allow an address that is not on the public internet; a superuser's decision",
    )
    secret_version = models.PositiveIntegerField(default=1, help_text="One more makes another secret")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One thing to tell one address: written with what it tells of, sent until it is taken or given up.

    `about` names what it tells of, once a webhook and job: "ended:<seq>", "unknown:<step>:<seq>",
    "stuck:<last seq>", "test:<id>". A delivery is due at `next_at`; who sends it moves that ahead first.
    """

    class State(models.TextChoices):
        """How a delivery stands."""

        PENDING = "pending"
        DELIVERED = "delivered"
        GIVEN_UP = "given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    job = models.ForeignKey(Job, models.CASCADE, null=True, blank=True, related_name="deliveries")
    kind = models.CharField(max_length=12)
    about = models.CharField(max_length=240)
    payload = models.JSONField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Of the last answer")
    detail = models.CharField(max_length=300, blank=True, help_text="Why the last attempt did not work")

    class Meta:
        ordering = ("-created_at",)
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(fields=("next_at",), name="delivery_due", condition=models.Q(state="pending")),
            models.Index(fields=("-created_at", "-id"), name="delivery_newest"),
            models.Index(fields=("state", "-created_at", "-id"), name="delivery_newest_by_state"),
            models.Index(fields=("webhook", "-created_at", "-id"), name="delivery_newest_by_webhook"),
        )
        constraints = (
            models.UniqueConstraint(fields=("webhook", "job", "about"), name="delivery_once_about_it"),
        )

    def __str__(self) -> str:
        return f"{self.kind} to {self.webhook} ({self.state})"
