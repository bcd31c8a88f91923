"""What the installation has learned about how long calls take."""

from django.db import models

from jobs.engine.results import Source


class CallDuration(models.Model):
    """The durations of the last calls of one server, tool and size, in seconds, oldest first.

    A bundled server says nothing about an external one in the same role, so `source` keeps them apart.
    """

    server = models.CharField(max_length=80)
    tool = models.CharField(max_length=120)
    size = models.CharField(max_length=40, blank=True, help_text="As 728x90; empty where all are of one size")
    source = models.CharField(max_length=12, choices=[(one.value, one.value) for one in Source])
    recent = models.JSONField(default=list)

    class Meta:
        ordering = ("server", "tool", "size")
        constraints = (
            models.UniqueConstraint(fields=("server", "tool", "size", "source"), name="duration_once_a_kind"),
        )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.server, self.tool, self.size)))
