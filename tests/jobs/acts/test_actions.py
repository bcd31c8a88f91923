"""Launching and leases: one job a key, one worker a job."""

import pytest

from campaigns.models import Campaign
from jobs.acts import actions
from jobs.engine.inputs import InvalidInput
from jobs.models import Job
from jobs.registry import UnknownWorkflow
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
PRESET = {"campaign": "aurora-one", "includeSearch": True}


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch):
    """Catch messages to the worker and return them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


def launch(raw=PRESET, **values):
    return actions.launch("campaign-lifecycle-demo", raw, story.user(), **values)


def test_a_launch_stores_the_job_its_plan_its_first_event_and_its_campaign(worker_messages):
    job = launch().job
    assert [id for id, *_ in job.plan] == [
        "brief",
        "plan",
        "project",
        "landing",
        "creative",
        "activate",
        "search",
        "report",
    ]
    assert job.events.get().type == "job:queued"
    assert Campaign.objects.get(job=job).slug == "aurora-one"
    assert worker_messages == [str(job.pk)]


def test_without_search_there_are_seven_stages():
    assert len(launch({"campaign": "aurora-one"}).job.plan) == 7


def test_the_same_key_and_body_return_the_same_job():
    first, second = launch(idempotency_key="k"), launch(idempotency_key="k")
    assert first.job == second.job
    assert (first.created, second.created) == (True, False)
    assert Job.objects.count() == 1


def test_the_same_key_with_another_body_is_refused():
    launch(idempotency_key="k")
    with pytest.raises(actions.KeyReused):
        launch({"campaign": "aurora-one"}, idempotency_key="k")


def test_two_users_can_launch_with_the_same_key():
    launch(idempotency_key="k")
    actions.launch("campaign-lifecycle", PRESET, story.user("other"), idempotency_key="k")
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    "raw", [{}, {"campaign": "nope"}, {"campaign": {}}, {"campaign": "aurora-one", "x": 1}]
)
def test_bad_input_stores_nothing_and_sends_no_message(raw, worker_messages):
    with pytest.raises(InvalidInput):
        launch(raw)
    assert not Job.objects.exists()
    assert not Campaign.objects.exists()
    assert worker_messages == []


def test_an_unknown_workflow_is_refused_by_name():
    with pytest.raises(UnknownWorkflow, match="nope"):
        actions.launch("nope", PRESET, story.user())


def test_a_broken_servers_file_stops_a_launch_and_names_its_field(settings, tmp_path):
    file = tmp_path / "servers.json"
    file.write_text('{"mcpServers": {"ttd": {"command": "x", "concurrency": 0}}}')
    settings.TOOL_SERVERS = str(file)
    with pytest.raises(InvalidInput, match=r"mcpServers\.ttd\.concurrency"):
        launch()
    assert not Job.objects.exists()
