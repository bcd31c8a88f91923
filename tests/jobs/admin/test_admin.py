"""The admin: everything can be viewed, nothing can be changed, and a long history stays fast."""

from datetime import date

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from campaigns.models import Campaign
from jobs.models import (
    ApiToken,
    Artifact,
    AuditEntry,
    CallAttempt,
    CallDuration,
    Delivery,
    Job,
    ToolCall,
    Webhook,
    WorkerBeat,
    WorkflowEvent,
)
from jobs.store import feed
from tests.jobs import story

pytestmark = pytest.mark.django_db

HISTORY = [
    Job,
    CallDuration,
    WorkflowEvent,
    ToolCall,
    CallAttempt,
    Artifact,
    AuditEntry,
    WorkerBeat,
    ApiToken,
    Campaign,
    Delivery,
]
MODELS = [*HISTORY, Webhook]


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(story.user("boss", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def job() -> Job:
    job = story.ended_job(params={"campaign": "<script>alert(1)</script>"})
    CallDuration.objects.create(server="ttd", tool="create_campaign", source="live", recent=[1.5, 2.5])
    call = ToolCall.objects.create(
        job=job,
        step="creative/image/a",
        stage="creative",
        server="image-gen",
        tool="generate_image",
        key="k",
        args={"prompt": "a lamp"},
        args_hash="h",
        state="done",
        remote_id="img-7",
        remote_url="javascript:alert(1)",
    )
    CallAttempt.objects.create(call=call, number=1, epoch=1, outcome="retry", detail="429")
    AuditEntry.objects.create(job=job, by=job.owner, act="resolve", step="creative/image/a", outcome="skip")
    WorkerBeat.objects.create(worker="w1", host="here", pid=1)
    ApiToken.make(job.owner, ["read"])
    hook = Webhook.objects.create(name="desk", url="https://hooks.example.com/a", kinds=["ended"])
    Delivery.objects.create(
        webhook=hook, job=job, kind="ended", about="ended:6", payload={"type": "job.ended"}
    )
    Campaign.objects.create(
        job=job,
        owner=job.owner,
        slug="a",
        brand="Aurora",
        product="One",
        budget=1,
        currency="EUR",
        flight_start=date(2026, 1, 1),
        flight_end=date(2026, 2, 1),
        brief={"brand": "Aurora"},
    )
    return job


def address(model: type, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_every_row_can_be_viewed(boss, job, model):
    row = model.objects.first()
    assert boss.get(address(model, "changelist")).status_code == 200
    assert boss.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", HISTORY)
def test_nothing_can_be_added_or_changed_and_only_tokens_deleted(boss, job, model):
    row = model.objects.first()
    assert boss.get(address(model, "add")).status_code == 403
    assert boss.post(address(model, "change", row.pk), {"title": "x"}).status_code == 403
    deleted = boss.post(address(model, "delete", row.pk), {"post": "yes"})
    assert deleted.status_code == (302 if model is ApiToken else 403)
    assert model.objects.filter(pk=row.pk).exists() is (model is not ApiToken)


def test_every_model_is_registered():
    ours = {model for label in ("jobs", "campaigns") for model in apps.get_app_config(label).get_models()}
    assert {model for model in ours if admin.site.is_registered(model)} == set(MODELS) == ours


def test_a_job_shows_its_calls_events_and_artifacts_with_links_to_all(boss, job):
    page = boss.get(address(Job, "change", job.pk)).content.decode()
    for text in (
        "creative/image/a",
        "attempt 1: retry",
        "resolve by mara",
        "workflow:complete",
        "creative-1x1.png",
        f"/jobs/{job.pk}/",
        f"/api/jobs/{job.pk}/artifacts/creative-1x1.png",
        f"{address(WorkflowEvent, 'changelist')}?q={job.pk}",
        f"{address(Delivery, 'changelist')}?q={job.pk}",
    ):
        assert text in page
    assert "<script>alert" not in page
    assert "javascript:" not in page


def test_a_job_with_a_long_log_shows_its_latest_events_only(boss):
    job = story.job()
    feed.append(job.pk, [story.step(n) for n in range(1, 401)])
    page = boss.get(address(Job, "change", job.pk)).content.decode()
    assert all(f"image {n}&quot;" in page for n in (400, 201))
    assert "image 200&quot;" not in page


@pytest.mark.storage
def test_the_search_finds_a_jobs_rows_by_its_id_and_jobs_by_title_owner_and_id(boss, job):
    other = story.ended_job(story.user("noor"), title="Casa Olmeda")

    def found(model: type, query: str) -> int:
        return len(boss.get(address(model, "changelist"), {"q": query}).context["cl"].result_list)

    assert found(WorkflowEvent, str(job.pk)) == found(WorkflowEvent, str(other.pk)) == 6
    assert found(WorkflowEvent, "olmeda") == 0
    assert (
        found(AuditEntry, str(job.pk)) == found(CallAttempt, str(job.pk)) == found(ToolCall, str(job.pk)) == 1
    )
    assert found(Job, "olmeda") == found(Job, "noor") == found(Job, str(other.pk)) == 1
    assert found(Job, "nothing") == 0


def test_lists_can_be_filtered(boss, job):
    events = boss.get(address(WorkflowEvent, "changelist"), {"type": "workflow:complete"}).context["cl"]
    assert [event.seq for event in events.result_list] == [6]
    story.job()
    jobs = boss.get(address(Job, "changelist"), {"status": "queued"}).context["cl"]
    assert [one.status for one in jobs.result_list] == ["queued"]


def test_a_tokens_hash_is_never_shown(boss, job):
    token = ApiToken.objects.get()
    for path in (address(ApiToken, "changelist"), address(ApiToken, "change", token.pk)):
        assert token.digest not in boss.get(path).content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_a_list_runs_the_same_queries_at_any_length(boss, job, model, django_assert_max_num_queries):
    for _ in range(10):
        more = story.ended_job(story.user("noor"))
        call = ToolCall.objects.create(job=more, step="a", stage="creative", server="s", tool="t", args={})
        CallAttempt.objects.create(call=call, number=1, epoch=1)
        AuditEntry.objects.create(job=more, by=more.owner, act="cancel")
        hook = Webhook.objects.create(name=f"desk {more.pk}", url="https://hooks.example.com/a")
        Delivery.objects.create(webhook=hook, job=more, kind="ended", about="ended:7", payload={})
    with django_assert_max_num_queries(5):  # session, user, rows; a count of the short tables
        boss.get(address(model, "changelist"))


def test_staff_without_permissions_see_nothing(job):
    client = Client()
    client.force_login(story.user("clerk", is_staff=True))
    assert client.get(address(Job, "changelist")).status_code == 403


def test_a_job_shows_its_round_its_crashes_and_its_audit_log(boss, job):
    Job.objects.filter(pk=job.pk).update(round=7, crashes=2, suspects=["creative/image/a"])
    row = boss.get(address(Job, "changelist")).context["cl"].result_list[0]
    assert (row.round, row.crashes) == (7, 2)
    page = boss.get(address(Job, "change", job.pk)).content.decode()
    assert all(text in page for text in ("Round", "Crashes", "Suspects", "Audit entries", "skip"))
    acts = boss.get(address(AuditEntry, "changelist"), {"act": "resolve"}).context["cl"]
    assert [one.step for one in acts.result_list] == ["creative/image/a"]
