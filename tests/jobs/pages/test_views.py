"""The pages of jobs: access, contents and the poll."""

import re
import uuid
from datetime import timedelta

import pytest
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.live import painted
from jobs.live.pieces import fragment, pieces
from jobs.models import Job, WorkerBeat
from jobs.pages import views
from jobs.store import feed
from tests.jobs import story
from tests.pages import browser, policy, text

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"


def poll(client: Client, job: Job, tag: str = ""):
    """Request the pieces as the page's script does."""
    headers = {"If-None-Match": tag} if tag else {}
    return client.get(reverse("job-progress", args=[job.pk]), headers=headers)


@pytest.mark.parametrize("name", ["jobs", "connections", "campaign-new"])
def test_pages_need_a_sign_in(client: Client, name: str):
    response = client.get(reverse(name))
    assert response.status_code == 302
    assert response.url.startswith(reverse("sign-in"))


def test_a_job_page_needs_a_sign_in_which_redirects_back(client: Client):
    where = reverse("job", args=[story.job().pk])
    response = client.get(where)
    assert response.url == f"{reverse('sign-in')}?next={where}"


def test_the_poll_of_a_signed_out_page_gets_401(client: Client):
    assert poll(client, story.job()).status_code == 401


@pytest.mark.parametrize("name", ["job", "job-progress"])
def test_another_users_job_returns_404(name: str):
    job = story.job(story.user("other"))
    assert browser().get(reverse(name, args=[job.pk])).status_code == 404


def test_staff_see_every_job():
    job = story.job(story.user("other"))
    assert browser(story.user("boss", is_staff=True)).get(reverse("job", args=[job.pk])).status_code == 200


def test_a_missing_job_returns_our_404_page():
    response = browser().get(reverse("job", args=[uuid.uuid4()]))
    assert response.status_code == 404
    assert "have permission to see it" in response.content.decode()


def test_the_first_page_holds_every_piece_as_the_poll_and_the_socket_send_it():
    job = story.ended_job()
    html = text(browser().get(reverse("job", args=[job.pk])))
    parts = pieces(job, feed.progress(job.pk))
    assert all(piece in html for piece in parts.values())
    assert text(poll(browser(), job)) == fragment(parts)


def test_a_running_job_opens_its_socket_at_once_and_an_ended_one_when_it_runs_again():
    running = text(browser().get(reverse("job", args=[(job := story.job()).pk])))
    assert f'hx-ws:connect="/ws/jobs/{job.pk}/"' in running
    assert f'data-poll="/jobs/{job.pk}/progress"' in running
    ended = text(browser().get(reverse("job", args=[story.ended_job().pk])))
    assert 'hx-trigger="load, reconnect"' in running
    assert 'hx-trigger="reconnect"' in ended
    assert 'data-state="ended"' in ended


def test_the_poll_returns_304_until_something_happens():
    job, client = story.job(), browser()
    first = poll(client, job)
    assert first["Cache-Control"] == "no-cache, private"
    again = poll(client, job, first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    feed.append(job.pk, [story.begin()])
    later = poll(client, job, first["ETag"])
    assert later.status_code == 200
    assert later["ETag"] != first["ETag"]


def test_a_change_is_rendered_once_for_all_polls(monkeypatch: pytest.MonkeyPatch):
    seen = []

    def count(job, progress):
        seen.append(progress.last_seq)
        return pieces(job, progress)

    monkeypatch.setattr(painted, "pieces", count)
    job, clients = story.job(), [browser(), browser()]
    first = [text(poll(client, job)) for client in clients]
    assert first[0] == first[1]
    feed.append(job.pk, [story.begin()])
    assert [text(poll(client, job)) == first[0] for client in clients] == [False, False]
    assert text(clients[0].get(reverse("job", args=[job.pk])))
    assert seen == [1, 2]


def test_the_cache_of_rendered_jobs_is_limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(painted, "MOST", 2)
    client = browser()
    for _ in range(4):
        assert poll(client, story.job()).status_code == 200
    assert len(painted._kept) == 2


def test_titles_are_escaped_on_every_page():
    job = story.job(title=HOSTILE)
    for where in (reverse("jobs"), reverse("job", args=[job.pk]), reverse("job-progress", args=[job.pk])):
        html = text(browser().get(where))
        assert HOSTILE not in html
        assert "&lt;script&gt;" in html


def test_pages_allow_no_inline_script_and_no_inline_style():
    job = story.job()
    for where in (reverse("jobs"), reverse("job", args=[job.pk]), reverse("connections"), reverse("sign-in")):
        rules = policy((Client() if "sign-in" in where else browser()).get(where))
        assert "unsafe-inline" not in rules
        assert "script-src 'self'" in rules
        assert "style-src 'self'" in rules


def test_the_list_is_empty_at_first_and_says_what_to_do():
    assert "No campaigns yet" in text(browser().get(reverse("jobs")))


def test_the_list_shows_only_the_users_jobs():
    story.job(title="Mine")
    story.job(story.user("other"), title="Theirs")
    html = text(browser().get(reverse("jobs")))
    assert "Mine" in html
    assert "Theirs" not in html


def test_the_list_is_filtered_by_status_and_searched_by_title():
    story.job(title="Aurora One")
    story.ended_job(title="Aurora Two")
    story.ended_job(title="Borealis")
    html = text(browser().get(reverse("jobs"), {"status": "completed", "q": "aurora"}))
    assert "Aurora Two" in html
    assert "Aurora One" not in html
    assert "Borealis" not in html


def test_a_search_without_results_says_so_and_links_back():
    html = text(browser().get(reverse("jobs"), {"q": HOSTILE + "\0"}))
    assert "No campaign matches" in html
    assert HOSTILE not in html


@pytest.mark.parametrize("query", [{"status": "nonsense"}, {"after": "x"}, {"after": str(uuid.UUID(int=1))}])
def test_an_invalid_query_shows_the_whole_list(query: dict):
    story.job(title="Mine")
    assert "Mine" in text(browser().get(reverse("jobs"), query))


def test_pages_have_no_gaps_and_no_repeats(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(views, "PAGE", 3)
    moment = timezone.now()
    # jobs of the very same moment too: the id decides between them
    for n in range(8):
        story.job(title=f"Number {n}.", created_at=moment - timedelta(minutes=n // 3))
    client, where, seen = browser(), reverse("jobs"), []
    while where:
        html = text(client.get(where))
        seen.append(re.findall(r"Number \d\.", html))
        found = re.search(r'href="([^"]+)">Older campaigns', html)
        where = found[1].replace("&amp;", "&") if found else ""
    assert [len(page) for page in seen] == [3, 3, 2]
    assert len({title for page in seen for title in page}) == 8


def test_the_first_page_has_the_tag_that_the_poll_expects():
    job, client = story.job(), browser()
    html = text(client.get(reverse("job", args=[job.pk])))
    tag = re.search(r'data-tag="([^"]+)"', html)[1].replace("&quot;", '"')
    assert poll(client, job, tag).status_code == 304


def test_the_list_refreshes_more_often_while_a_job_runs():
    story.ended_job()
    assert "every 20s" in text(browser().get(reverse("jobs")))
    story.job()
    assert "every 4s" in text(browser().get(reverse("jobs")))


def test_connections_without_any_worker_say_how_to_start_one():
    assert "No worker has reported yet" in text(browser().get(reverse("connections")))


def test_connections_show_each_server_as_the_worker_reported_it():
    servers = {
        "asana-v2": {
            "connected": True,
            "tools": ["asana_create_task"],
            "inUse": 5,
            "limit": 5,
            "waiting": 8,
            "source": "local",
            "last_error": "",
        },
        "ttd": {"connected": False, "last_error": HOSTILE},
        "canva": {"connected": True, "held_back": "9 of its last 10 calls failed"},
    }
    WorkerBeat.objects.create(worker="w1", host="h", pid=1, servers=servers)
    html = text(browser().get(reverse("connections")))
    for words in (
        "5/5 in use",
        "8 waiting",
        "asana_create_task",
        "not connected",
        "&lt;script&gt;",
        "Calls paused",
    ):
        assert words in html
    assert "No worker is running" not in html


@pytest.mark.parametrize("told", [{}, [], "x", {"a": None}, {"a": {"tools": 3, "inUse": None}}])
def test_connections_tolerate_any_report_of_a_worker(told: object):
    WorkerBeat.objects.create(worker="w1", host="h", pid=1, servers=told)
    assert browser().get(reverse("connections")).status_code == 200


def test_a_silent_worker_is_shown_as_not_running():
    old = timezone.now() - timedelta(minutes=5)
    WorkerBeat.objects.create(worker="w1", host="h", pid=1, seen_at=old)
    assert "No worker is running" in text(browser().get(reverse("connections")))


def test_pages_allow_only_reading():
    assert browser().post(reverse("jobs")).status_code == 405


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_nothing_of_a_broken_request(name: str):
    html = get_template(name).render()
    assert "<h1>" in html
    assert 'href="/"' in html


def test_the_icon_is_found_without_signing_in_where_browsers_look_for_it():
    answer = Client().get("/favicon.ico")
    assert answer.status_code == 302
    assert answer["Location"] == "/static/favicon.svg"
