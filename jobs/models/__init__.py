"""The database models: jobs, events, calls, durations, artifacts, audit, access, webhooks."""

from jobs.models.access import FRESH, ApiToken, WorkerBeat
from jobs.models.audit import AuditEntry
from jobs.models.calls import CallAttempt, ToolCall
from jobs.models.durations import CallDuration
from jobs.models.job import ENDED, Artifact, Job, JobQuerySet, WorkflowEvent
from jobs.models.webhooks import Delivery, Webhook

__all__ = [
    "ENDED",
    "FRESH",
    "ApiToken",
    "Artifact",
    "AuditEntry",
    "CallAttempt",
    "CallDuration",
    "Delivery",
    "Job",
    "JobQuerySet",
    "ToolCall",
    "Webhook",
    "WorkerBeat",
    "WorkflowEvent",
]
