"""What clients read of a job's log: events and artifacts as JSON, with links that open."""

import json
from typing import Any
from uuid import UUID

from django.urls import reverse

from jobs import models
from jobs.engine import events as ev
from jobs.engine.results import Artifact


def event(job_id: UUID | str, recorded: ev.Recorded) -> dict[str, Any]:
    """Return an event as clients read it: camelCase, ISO 8601 in UTC, every artifact with its links."""
    payload = recorded.event.payload()
    payload.pop("data", None)
    if isinstance(recorded.event, ev.StageEnd | ev.WorkflowComplete):
        payload["artifacts"] = [artifact(job_id, made) for made in recorded.event.artifacts]
    if not payload.get("error", True):
        del payload["error"]
    head = {"type": recorded.event.type, "jobId": str(job_id), "seq": recorded.seq}
    return {**head, "timestamp": ev.iso(recorded.at), **payload}


def line(job_id: UUID | str, recorded: ev.Recorded) -> str:
    """Return an event as the one line of JSON that streams carry."""
    return json.dumps(event(job_id, recorded), separators=(",", ":"))


def artifact(job_id: UUID | str, made: Artifact | models.Artifact) -> dict[str, Any]:
    """Return an artifact, from the log or from its row, as clients read it.

    `url` opens it: in the service that holds it, otherwise our own copy. `fileUrl` is our own copy, if any.
    """
    own = reverse("artifact", args=[job_id, made.name]) if made.file else ""
    links = {"url": made.url or own, "fileUrl": own}
    sizes = {"width": made.width, "height": made.height} if made.width else {}
    more = {"mime": made.mime, "remoteId": made.remote_id, "note": made.note}
    return {
        "name": made.name,
        "title": made.title,
        "kind": made.kind,
        "source": str(made.source),
        **{key: value for key, value in (links | more).items() if value},
        **sizes,
    }
