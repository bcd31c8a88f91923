"""The client of a remote installation: one launch, every event once, clear error messages."""

import json
import socket
import ssl
import subprocess
import threading

import pytest

from jobs import public
from jobs.cli.installation import Trouble
from jobs.cli.remote import Remote
from jobs.engine import events as ev
from jobs.engine.inputs import InvalidInput
from jobs.models import ApiToken, Job
from jobs.store import feed
from tests.jobs import story
from tests.jobs.far import Line, stranger

pytestmark = pytest.mark.django_db(transaction=True)
PROBLEM = {"Content-Type": "application/problem+json"}
ALL = ("read", "launch")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """A server that has never answered is asked once."""
    monkeypatch.setattr("jobs.cli.remote.UNMET", 0.0)


def token(*scopes: str) -> str:
    return ApiToken.make(story.user(), list(scopes or ALL))


def remote(url: str, plain: str = "", **more) -> Remote:
    """Return a client that does not wait between its attempts."""
    return Remote(url, plain or token(), **({"sleep": lambda seconds: None} | more))


def address(site: int) -> str:
    return f"http://127.0.0.1:{site}"


def long_job(events: int) -> Job:
    job = story.job()
    feed.append(job.pk, [story.begin(), *(story.step(i) for i in range(events)), *story.end()])
    return job


def told(client: Remote, job: Job, heard: list[str] | None = None) -> list:
    return list(client.follow(str(job.pk), ([] if heard is None else heard).append))


def launch(client: Remote, campaign: object = "aurora-one"):
    return client.launch(campaign, include_search=False, dry_run=False)


def trouble(act, *args) -> str:
    """Return the message of the Trouble that the client raises."""
    with pytest.raises(Trouble) as raised:
        act(*args)
    assert raised.value.code == 1
    return str(raised.value)


# -- following


def test_every_event_is_yielded_once_and_in_order(site):
    job = story.ended_job()
    client = remote(address(site))
    events = told(client, job)
    assert [one.line for one in events] == [public.line(job.pk, one) for one in feed.after(job.pk)]
    assert [one.recorded.seq for one in events] == [1, 2, 3, 4, 5, 6]
    assert client.status == "completed"


def test_remote_progress_equals_local_progress_but_for_internal_data_and_links(site):
    job = story.ended_job()
    far = [one.recorded.event for one in told(remote(address(site)), job)]
    near = [one.event for one in feed.after(job.pk)]
    assert far[:4] == near[:4]
    assert far[4].artifacts[0].url == f"{address(site)}/api/jobs/{job.pk}/artifacts/creative-1x1.png"
    assert (far[4].status, far[4].data) == ("completed", {})


def test_a_connection_lost_every_few_events_loses_and_repeats_nothing(site):
    job = long_job(400)
    heard: list[str] = []
    with Line(site, [700 + 37 * i for i in range(60)], after=4000) as line:
        events = told(remote(line.url), job, heard)
        assert line.connections > 25
    assert [one.recorded.seq for one in events] == list(range(1, 405))
    assert "reconnecting" in heard[0] and any("reconnected to" in words for words in heard)


def test_a_job_is_followed_live_and_through_a_later_round(site):
    job = story.job()
    seen = []
    again = ev.JobRetrying(by="mara", round=2, stages=["creative"])
    for one in remote(address(site)).follow(str(job.pk), lambda text: None):
        seen.append(one.recorded.seq)
        if one.recorded.seq == 1:
            feed.append(job.pk, [story.begin()])
        if one.recorded.seq == 2:
            feed.append(job.pk, [*story.end("partial"), again, story.begin(), *story.end()])
    assert seen == list(range(1, 9))


def test_an_end_confirmed_only_by_the_stream_counts():
    """The job's own address may be out of order; the stream that has nothing more is enough."""
    queued = {"type": "job:queued", "workflow": "w", "version": 1, "title": "A", "stages": []}
    over = {"type": "workflow:complete", "status": "partial", "totalStages": 0}
    when = {"timestamp": "2026-05-04T12:00:00Z"}
    frames = "".join(
        f"id: {i}\ndata: {json.dumps(one | when)}\n\n" for i, one in enumerate((queued, over), 1)
    )
    streamed = (200, {"Content-Type": "text/event-stream"}, frames.encode())
    with stranger(streamed, (500, PROBLEM, b"{}"), (204, {}, b"")) as (url, asked):
        client = remote(url)
        assert len(list(client.follow("j", lambda text: None))) == 2
    assert client.status == "partial"
    assert len(asked) == 3


def test_removing_a_followed_job_ends_with_a_message(site):
    job = story.job()

    def follow():
        for _ in remote(address(site)).follow(str(job.pk), lambda text: None):
            Job.objects.all().delete()

    assert f"there is no job {job.pk}" in trouble(follow)


def test_a_revoked_token_ends_it_at_the_next_connection(site):
    job, plain = story.ended_job(), token()
    with Line(site, [600, 600]) as line:
        client = remote(line.url, plain, sleep=lambda seconds: ApiToken.objects.all().delete())
        assert "does not accept the token" in trouble(told, client, job)


def test_it_gives_up_on_a_server_that_stays_away_and_says_how_to_resume(site):
    job = story.ended_job()
    with Line(site, [600], after=0) as line:
        said = trouble(told, remote(line.url, outage=0.0), job)
    assert "for 0 seconds" in said
    assert f"manage.py follow {job.pk} --server {line.url}" in said


def test_a_busy_server_is_retried_after_the_time_it_asks_for():
    paused: list[float] = []
    body = json.dumps({"jobId": "j", "status": "completed", "lastEventId": 0}).encode()
    busy = (503, {"Retry-After": "7", "Content-Type": "text/plain"}, b"busy")
    with stranger(busy, (204, {}, b""), (200, {"Content-Type": "application/json"}, body)) as (url, _):
        client = remote(url, sleep=paused.append)
        assert list(client.follow("j", lambda text: None)) == []
    assert paused[0] >= 7


def test_pauses_follow_what_the_stream_says(site):
    job, paused = story.ended_job(), []
    with Line(site, [700, 700]) as line:
        told(remote(line.url, sleep=paused.append), job)
    assert all(1.0 <= pause <= 4.0 for pause in paused) and paused


# -- launching


def test_a_launch_whose_response_is_lost_creates_one_job(site):
    with Line(site, [20]) as line:
        launched = launch(remote(line.url))
        assert launched.page == f"{line.url}/jobs/{launched.job_id}/"
        assert line.connections > 1
    assert [str(job.pk) for job in Job.objects.all()] == [launched.job_id]


def test_a_brief_is_sent_in_full_and_warnings_are_returned(site):
    launch(remote(address(site)))
    brief = Job.objects.get().params["brief"]
    launched = launch(remote(address(site)), brief | {"product": "Aurora Two"})
    assert Job.objects.filter(title__contains="Aurora Two").exists()
    assert "budget" in launched.warnings[0].field


def test_a_server_without_a_worker_is_reported_as_not_ready(site):
    assert "is not ready: no worker has started yet" in launch(remote(address(site))).held


@pytest.mark.parametrize(
    ("campaign", "field"),
    [("no-such", "campaign"), ({"brand": "x"}, "campaign.product"), ({"brand": "x" * 2_000_000}, "")],
)
def test_errors_of_the_input_are_returned_by_field(site, campaign, field):
    with pytest.raises(InvalidInput) as refused:
        launch(remote(address(site)), campaign)
    assert field in [fault.field for fault in refused.value.faults]
    assert all(fault.message for fault in refused.value.faults)
    assert not Job.objects.exists()


def test_a_brief_with_an_invalid_json_number_is_refused(site):
    with pytest.raises(InvalidInput, match="NaN is not a JSON value"):
        launch(remote(address(site)), {"budget": float("nan")})


def test_an_unknown_token_is_explained(site):
    said = trouble(launch, remote(address(site), "wrong-token-1"))
    assert "does not accept the token" in said and "manage.py apitoken USER" in said


def test_a_read_only_token_is_told_the_missing_scope(site):
    said = trouble(launch, remote(address(site), token("read")))
    assert "lacks the scope launch; it has: read" in said and "--scope launch" in said


def test_a_token_that_may_only_launch_cannot_follow(site):
    job = story.ended_job()
    assert "lacks the scope read" in trouble(told, remote(address(site), token("launch")), job)


def test_another_users_job_returns_404(site):
    job = story.job(story.user("noor"))
    assert f"there is no job {job.pk}" in trouble(remote(address(site)).check, str(job.pk))


# -- servers other than Flightplan, and unreachable servers


def test_an_unreachable_address_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = trouble(launch, remote(f"http://127.0.0.1:{port}"))
    assert "cannot be reached" in said and "Connection refused" in said


def test_a_launch_that_may_have_arrived_is_reported(site, monkeypatch):
    monkeypatch.setattr("jobs.cli.remote.LOST", 0.0)
    with Line(site, [], after=20) as line:
        assert "It may have been launched: check" in trouble(launch, remote(line.url))
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"),
            "the response didn't come from Flightplan",
        ),
        ((404, {"Content-Type": "text/html"}, b"<h1>Nothing</h1>"), "returned 404, but the response"),
        ((302, {"Location": "https://sso.example.com/in"}, b""), "redirects to https://sso.example.com/in"),
        (
            (200, {"Content-Type": "application/json"}, b'{"hello": 1}'),
            "the response didn't come from Flightplan",
        ),
        ((500, PROBLEM, b'{"detail": "something went wrong on our side"}'), "something went wrong on our"),
    ],
)
def test_a_server_other_than_flightplan_is_reported(answer, words):
    with stranger(answer) as (url, asked):
        assert words in trouble(launch, remote(url))
        assert len(asked) == 1


def test_a_token_that_a_server_sends_back_is_not_shown():
    body = json.dumps({"detail": "no such token: sesame-1"}).encode()
    with stranger((401, PROBLEM, body)) as (url, _):
        said = trouble(launch, remote(url, "sesame-1"))
    assert "no such token: (the token)" in said and "sesame" not in said


@pytest.fixture
def own_authority(tmp_path):
    """Run a TLS server with an untrusted certificate and return its port."""
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(near, server_side=True).close()
            except OSError:
                near.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_an_untrusted_certificate_is_explained(own_authority):
    said = trouble(launch, remote(f"https://localhost:{own_authority}"))
    assert "certificate that is not trusted" in said and "SSL_CERT_FILE" in said


def test_https_to_an_http_server_is_reported():
    with stranger((200, {}, b"")) as (url, _):
        assert "TLS failed" in trouble(launch, remote(url.replace("http:", "https:")))


def test_the_arguments_of_a_dry_run_are_read_by_step_and_other_calls_have_none():
    calls = [
        {"step": "a", "arguments": {"name": "Kick-off"}},
        {"step": "b", "arguments": None},
        {"step": "c"},
    ]
    body = json.dumps({"jobId": "j1", "calls": calls}).encode()
    with stranger((200, {"Content-Type": "application/json"}, body)) as (url, asked):
        assert remote(url, "fp_x").arguments("j1") == {"a": {"name": "Kick-off"}}
    assert asked == ["GET /api/jobs/j1"]
