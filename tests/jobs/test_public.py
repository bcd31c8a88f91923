"""What clients read of events and artifacts."""

import pytest

from jobs import public
from jobs.store import feed
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def test_clients_read_camel_case_with_links_and_no_internal_data():
    job = story.ended_job()
    stage, whole = [public.event(job.pk, one) for one in feed.after(job.pk, 4)]
    assert stage["type"] == "stage:complete"
    assert (stage["jobId"], stage["stageName"], stage["stageIndex"], stage["totalStages"]) == (
        str(job.pk),
        "Generate Creatives",
        1,
        2,
    )
    assert stage["timestamp"].endswith("Z")
    assert "data" not in stage
    assert "error" not in stage
    url = f"/api/jobs/{job.pk}/artifacts/creative-1x1.png"
    assert stage["artifacts"] == [
        {
            "name": "creative-1x1.png",
            "title": "Square",
            "kind": "image",
            "source": "local",
            "url": url,
            "fileUrl": url,
        }
    ]
    assert whole["type"] == "workflow:complete"
    assert whole["status"] == "completed"
