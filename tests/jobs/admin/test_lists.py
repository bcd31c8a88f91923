"""The lists of jobs and history: no query counts a table or takes longer as the table grows."""

import html
import re
import uuid
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns.models import Campaign
from jobs.models import (
    Artifact,
    AuditEntry,
    CallAttempt,
    Delivery,
    Job,
    ToolCall,
    Webhook,
    WorkflowEvent,
)
from jobs.pages import views
from jobs.store import feed, keyset
from tests.jobs import story

pytestmark = pytest.mark.django_db
FEW, MANY = 250, 1250
EACH = 100  # database instructions between two callbacks
LISTS = (WorkflowEvent, ToolCall, CallAttempt, Artifact, AuditEntry, Delivery, Job, Campaign)


@pytest.fixture
def boss() -> Client:
    """Sign in a superuser who also owns jobs."""
    client = Client()
    client.force_login(story.user("boss", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def mara() -> Client:
    """Sign in the owner of all jobs, who sees only their own."""
    client = Client()
    client.force_login(story.user())
    return client


def fill(count: int) -> None:
    """Add this many rows to every table, of as many jobs, all older than the existing rows."""
    owner, base = story.user(), timezone.now() - timedelta(days=1 + Job.objects.count())
    hook, _ = Webhook.objects.get_or_create(name="desk", url="https://hooks.example.com/a")
    values = {"workflow": "campaign-lifecycle", "params": {}, "plan": story.PLAN, "last_seq": 1}
    standing = {"title": "Aurora One", "status": "completed", "owner": owner} | values
    jobs = Job.objects.bulk_create(
        Job(created_at=base - timedelta(seconds=n), **standing) for n in range(count)
    )
    now, call = timezone.now(), {"step": "a", "stage": "creative", "server": "s", "tool": "t", "args": {}}
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(job=job, seq=1, type="stage:progress", payload={}, at=now) for job in jobs
    )
    calls = ToolCall.objects.bulk_create(ToolCall(job=job, state="done", **call) for job in jobs)
    CallAttempt.objects.bulk_create(CallAttempt(call=call, number=1, epoch=1) for call in calls)
    Artifact.objects.bulk_create(Artifact(job=job, name="a", stage="creative", source="live") for job in jobs)
    AuditEntry.objects.bulk_create(AuditEntry(job=job, by=owner, act="cancel") for job in jobs)
    sent = {"webhook": hook, "kind": "ended", "about": "ended:1", "payload": {}, "state": "delivered"}
    Delivery.objects.bulk_create(Delivery(job=job, created_at=job.created_at, **sent) for job in jobs)
    flight = {"flight_start": date(2026, 1, 1), "flight_end": date(2026, 2, 1), "brief": {}}
    Campaign.objects.bulk_create(
        Campaign(job=job, owner=owner, slug="a", budget=1, currency="EUR", **flight) for job in jobs
    )


def admin_of(model: type, query: str = "") -> str:
    """Return the address of a list in the admin."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + query


def older(row: object, order: keyset.Order) -> str:
    """Return a row's cursor as it appears in the lists' addresses."""
    return order.text(order.key(row))


def addresses() -> dict[str, str]:
    """Return the addresses to request by a fixed name: pages, filters, and searches, some without results."""
    job = Job.objects.order_by("created_at").first()
    assert job is not None
    deep = {model: model.objects.order_by("id")[150] for model in (WorkflowEvent, ToolCall, CallAttempt)}
    jobs = Job.objects.order_by("created_at")[150]
    asked = {f"{model.__name__}": admin_of(model) for model in LISTS}
    asked |= {
        f"{model.__name__} deep": admin_of(model, f"?older={older(row, keyset.IDS)}")
        for model, row in deep.items()
    }
    asked |= {f"{model.__name__} of a job": admin_of(model, f"?q={job.pk}") for model in LISTS[:6]}
    filters = {
        WorkflowEvent: ("type=workflow:complete", f"type=stage:progress&q={job.pk}"),
        ToolCall: ("state=unknown",),
        Artifact: ("source=fallback",),
        AuditEntry: ("act=activate",),
        Delivery: ("state=pending", "kind=stuck", "webhook__id__exact=99", "state=delivered&kind=stuck"),
        Job: (
            "status=failed",
            "dry_run__exact=1",
            "q=nothing+at+all",
            f"q={uuid.UUID(int=7)}",
            "status=completed&q=nothing",
            "created_at__gte=2001-01-01T00Z&created_at__lt=2001-01-02T00Z",
            f"older={older(jobs, keyset.MOMENTS)}",
            f"newer={older(jobs, keyset.MOMENTS)}",
            "o=1.2",
            "_facets=True",
        ),
        Campaign: ("q=nothing", "job__dry_run__exact=1"),
    }
    for model, queries in filters.items():
        asked |= {
            f"{model.__name__} {n}: {one[:8]}": admin_of(model, f"?{one}") for n, one in enumerate(queries)
        }
    for path in ("/api/jobs", "/"):
        for query in ("", "status=failed", "q=nothing", "status=completed&q=nothing"):
            asked[f"{path} {query}"] = f"{path}?{query}"
    asked["/api/jobs deep"] = f"/api/jobs?after={older(jobs, keyset.MOMENTS)}"
    return asked | {"/ deep": f"/?after={jobs.pk}"}


def worked(act: Callable[[], object]) -> int:
    """Return how many hundred instructions SQLite has run for a piece of work."""
    ran = [0]

    def count() -> None:
        ran[0] += 1

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, EACH)
    try:
        act()
    finally:
        connection.connection.set_progress_handler(None, EACH)
    return ran[0]


def work(clients: dict[str, Client]) -> dict[str, int]:
    """Request all lists and return the work of each. Fails for a list with an error or a count."""
    spent = {}
    for name, address in addresses().items():
        for who, client in clients.items():
            if "/admin/" in address and who != "boss":
                continue
            with CaptureQueriesContext(connection) as asked:
                spent[f"{name} ({who})"] = worked(lambda c=client, a=address: answered(c, a))
            counts = [one["sql"] for one in asked if re.search(r"count\(", one["sql"], re.I)]
            assert not counts, (name, counts)
    return spent


def answered(client: Client, address: str) -> None:
    """Request a list, which must return 200."""
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code, response.headers)


@pytest.mark.skipif(not settings.SQLITE, reason="counts SQLite's instructions")
def test_no_list_counts_its_table_or_works_more_as_it_grows(boss, mara, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_THROUGH", 100)
    clients = {"boss": boss, "mara": mara}
    fill(FEW)
    first = work(clients)
    fill(MANY)
    again = work(clients)
    assert {name: (first[name], more) for name, more in again.items() if more > 1.3 * first[name] + 5} == {}
    assert worked(lambda: list(Job.objects.filter(title="none"))) > 30, "the measure does not see a scan"


@pytest.mark.storage
def test_a_user_pages_through_a_list_by_links(boss):
    job = story.job()
    feed.append(job.pk, [story.step(n) for n in range(1, 250)])
    seen, pages, query = [], [], "?"
    while query:
        page = boss.get(admin_of(WorkflowEvent, html.unescape(query)))
        seen += [event.seq for event in page.context["cl"].result_list]
        pages.append(page.content.decode())
        further = re.search(r'href="([^"]*)" rel="next"', pages[-1])
        query = further[1] if further else ""
    assert seen == list(range(250, 0, -1))
    assert 'rel="prev"' not in pages[0] and ">Newest<" not in pages[0]
    assert 'rel="prev"' in pages[-1] and ">Newest<" in pages[-1]
    back = re.search(r'href="([^"]*)" rel="prev"', pages[-1])
    assert back
    page = boss.get(admin_of(WorkflowEvent, html.unescape(back[1])))
    assert [event.seq for event in page.context["cl"].result_list] == seen[100:200]


def test_paging_keeps_filter_and_search_and_a_new_filter_starts_at_the_newest(boss):
    job = story.job()
    feed.append(job.pk, [story.step(n) for n in range(1, 250)])
    page = boss.get(admin_of(WorkflowEvent, f"?q={job.pk}&type=stage:progress")).content.decode()
    assert f"?older=151&amp;q={job.pk}&amp;type=stage%3Aprogress" in page
    page = boss.get(admin_of(WorkflowEvent, "?older=200")).content.decode()
    assert "?type=call%3Astart" in page
    assert "older=200&amp;type" not in page


def test_an_invalid_cursor_leads_back_to_the_list(boss):
    story.job()
    for place in ("x", "9" * 40):
        assert boss.get(admin_of(WorkflowEvent, f"?older={place}")).headers["Location"].endswith("?e=1")


def test_a_list_says_where_its_search_stopped_and_how_to_continue(boss, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_THROUGH", 4)
    monkeypatch.setattr(views, "PAGE", 3)
    old = story.job(title="Casa Olmeda", created_at=timezone.now() - timedelta(days=1))
    for _ in range(5):
        story.job()
    page = boss.get(admin_of(Job, "?q=olmeda")).content.decode()
    assert "0 jobs, newest first; 4 were searched, and there are more" in " ".join(page.split())
    page = boss.get("/?q=olmeda")
    assert "The 4 newest campaigns were searched; there are older campaigns." in page.content.decode()
    assert "Search older campaigns" in page.content.decode()
    assert [job.pk for job in boss.get(page.context["older"]).context["jobs"]] == [old.pk]
    first = boss.get("/api/jobs?q=olmeda").json()
    assert first["items"] == []
    assert boss.get(f"/api/jobs?q=olmeda&after={first['after']}").json()["items"][0]["jobId"] == str(old.pk)
    assert boss.get(f"/api/jobs?q={old.pk}").json()["items"][0]["jobId"] == str(old.pk)
