"""What the installation remembers: jobs, events, calls, artifacts, acts, tokens, workers, webhooks."""

from jobs.models.access import ApiToken, WorkerBeat
from jobs.models.audit import AuditEntry
from jobs.models.calls import CallAttempt, ToolCall
from jobs.models.job import ENDED, Artifact, Job, JobQuerySet, WorkflowEvent
from jobs.models.webhooks import Delivery, Webhook

__all__ = [
    "ENDED",
    "ApiToken",
    "Artifact",
    "AuditEntry",
    "CallAttempt",
    "Delivery",
    "Job",
    "JobQuerySet",
    "ToolCall",
    "Webhook",
    "WorkerBeat",
    "WorkflowEvent",
]
