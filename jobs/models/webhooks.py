"""Webhooks and the outbox of their deliveries."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from jobs.models.job import Job


class Webhook(models.Model):
    """A URL that is notified of what happens to jobs, by a signed POST.

    Its secret is not stored: it is derived from SECRET_KEY, this row's id and `secret_version`.
    """

    class Kind(models.TextChoices):
        """What a webhook can be notified of."""

        ENDED = "ended", "a campaign has ended, with any status"
        PARTIAL = "partial", "a campaign has ended with something missing or in doubt"
        UNKNOWN = "unknown", "it is unknown whether a call took effect; a user must resolve it"
        STUCK = "stuck", "a campaign has not moved for a while"

    name = models.CharField(max_length=80, unique=True, help_text="Display name")
    # not a URLField: the names of internal hosts may lack a dot. `jobs/webhooks/addresses.py` checks the URL
    url = models.CharField(
        max_length=500, help_text="Where the POST goes: https, or http on a private network"
    )
    kinds = models.JSONField(
        default=list, help_text="Kinds of notification it receives: some of ended, partial, unknown, stuck"
    )
    active = models.BooleanField(default=True, help_text="Whether anything is sent")
    allow_private = models.BooleanField(
        "allow private addresses",
        default=False,
        help_text="Allow an address that is not on the public internet. Only a superuser can change this.",
    )
    secret_version = models.PositiveIntegerField(default=1, help_text="Increase it to create a new secret")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One notification for one webhook: written with its event, sent until it is accepted or given up.

    `about` says what it is about, unique per webhook and job: "ended:<seq>", "unknown:<step>:<seq>",
    "stuck:<last seq>", "test:<id>". A delivery is due at `next_at`; its sender first moves that ahead.
    """

    class State(models.TextChoices):
        """The state of a delivery."""

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
    status_code = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Status of the last response"
    )
    detail = models.CharField(max_length=300, blank=True, help_text="Why the last attempt failed")

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
