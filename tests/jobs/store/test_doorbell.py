"""The doorbell: it announces commits, and a failed announcement never affects committed data."""

import pytest

from jobs.acts import actions
from jobs.models import Job
from jobs.store import doorbell
from tests.jobs import calling, story


def test_a_ring_reaches_every_bell_and_removes_dead_bells():
    alive, dead = doorbell.hang("test-alive"), doorbell.hang("test-dead")
    gone = dead.getsockname()
    dead.close()
    try:
        doorbell.ring_here("a job")
        assert alive.recv(64) == b"a job"
        assert gone not in {str(path) for path in doorbell.bells().glob("*.sock")}
    finally:
        doorbell.take_down(alive)


def test_a_bell_that_cannot_be_rung_is_logged_and_raises_nothing(monkeypatch, caplog):
    def full(*args):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("jobs.store.doorbell.socket.socket", full)
    doorbell.ring_here("a job")
    assert "Too many open files" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_launch_succeeds_even_if_its_message_cannot_be_queued(monkeypatch):
    def broken(job_id):
        raise OSError("the queue is full")

    calling.use_flow(monkeypatch)
    monkeypatch.setattr(actions, "workflow", lambda id: calling.FLOW)
    monkeypatch.setattr(actions, "run_job", broken)
    launched = actions.launch("campaign-lifecycle", {"campaign": "aurora-one"}, story.user())
    assert launched.created
    assert Job.objects.get(pk=launched.job.pk).status == "queued"
