"""A double click on Launch: however often the form is sent, it launches one job."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from campaigns.brief.presets import preset_names
from campaigns.models import Campaign
from jobs.models import Job
from jobs.store import feed
from tests.campaigns.test_forms import sent
from tests.jobs import running, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch):
    """Catch messages to the worker and return them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


@pytest.mark.parametrize("clicks", [2, 20])
def test_simultaneous_clicks_on_one_form_launch_one_job(clicks, worker_messages):
    first = Client()
    first.force_login(story.user())
    page = first.get(reverse("campaign-new"), {"preset": preset_names()[0]})
    data = sent(page.context["form"], token=page.context["token"], launch="yes").dict()
    session = running.session_of(story.user())

    def click(_: int) -> str:
        client = Client()
        client.cookies["sessionid"] = session
        try:
            return client.post(reverse("campaign-new"), data).url
        finally:
            connection.close()

    with ThreadPoolExecutor(clicks) as threads:
        places = set(threads.map(click, range(clicks)))
    job = Job.objects.get()
    assert places == {reverse("job", args=[job.pk])}
    assert Campaign.objects.get().job == job
    assert (story.seqs(feed.whole(job.pk)), worker_messages) == ([1], [str(job.pk)])
