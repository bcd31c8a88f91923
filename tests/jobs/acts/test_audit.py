"""The audit log is append-only: neither code nor SQL changes an entry, and its job cannot be deleted."""

import pytest
from django.db import DatabaseError, connection, models, transaction

from jobs.acts import actions
from jobs.models import AuditEntry, Job
from jobs.models.audit import AuditIsFinal
from tests.jobs import story
from tests.pages import browser, text

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


@pytest.fixture
def entry():
    actions.cancel(story.job(), story.user("noor"))
    return AuditEntry.objects.get()


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.save(),
        lambda entry: entry.save(update_fields=["act"]),
        lambda entry: entry.delete(),
        lambda entry: AuditEntry.objects.update(act="retry"),
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).delete(),
        lambda entry: entry.job.audit.update(act="retry"),
        lambda entry: AuditEntry.objects.bulk_update([entry], ["act"]),
    ],
)
def test_no_code_changes_or_removes_an_entry(entry, change):
    entry.act = "retry"
    with pytest.raises(AuditIsFinal, match="cannot be changed or deleted"):
        change(entry)
    assert AuditEntry.objects.get().act == "cancel"


def test_the_database_refuses_to_change_an_entry(entry):
    with (
        pytest.raises(DatabaseError, match="written once"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE jobs_auditentry SET act = 'retry'")
    assert AuditEntry.objects.get().act == "cancel"


def test_a_job_with_entries_cannot_be_deleted(entry):
    with pytest.raises(models.ProtectedError):
        Job.objects.all().delete()
    assert AuditEntry.objects.count() == Job.objects.count() == 1


def test_the_admin_shows_the_hash_and_the_lines_of_an_activation():
    made = AuditEntry.objects.create(
        job=story.job(),
        by=story.user(),
        act="activate",
        digest="ab" * 32,
        details={"lines": [{"item": "north", "remote_id": "c-7"}], "sums": {"USD": "100.50"}},
    )
    client = browser(story.user("root", is_staff=True, is_superuser=True))
    html = text(client.get(f"/admin/jobs/auditentry/{made.pk}/change/"))
    assert "ab" * 32 in html
    assert "&quot;remote_id&quot;: &quot;c-7&quot;" in html
    assert "&quot;USD&quot;: &quot;100.50&quot;" in html
