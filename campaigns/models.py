"""Campaigns: the briefs that were launched, separate from the jobs that run them."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class Campaign(models.Model):
    """A launched brief. `brief` is the checked brief as it was launched; the job has its result."""

    job = models.OneToOneField("jobs.Job", models.CASCADE, related_name="campaign")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="campaigns")
    slug = models.SlugField(max_length=120)
    brand = models.CharField(max_length=120)
    product = models.CharField(max_length=120)
    budget = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    flight_start = models.DateField()
    flight_end = models.DateField()
    brief = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("slug", "-created_at"), name="campaign_slug_created"),)

    def __str__(self) -> str:
        return f"{self.brand} {self.product}"
