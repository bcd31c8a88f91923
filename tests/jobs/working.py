"""A worker in a test: launching the small workflow, running it, waiting for what comes of it."""

import threading

from jobs.acts import actions
from tests.jobs import story

SOON = 20.0


def launch(title="Small", **values):
    return actions.launch("small", {"title": title, **values}, story.user()).job


def run(worker, job):
    """Run a job in a thread of its own, as Huey does, and wait for its end."""
    thread = threading.Thread(target=worker.run, args=(str(job.pk),))
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive()
    job.refresh_from_db()
    return job


def until(check):
    """Wait until a check holds, looking again at each commit's bell or ten times a second."""
    deadline = threading.Event()
    timer = threading.Timer(SOON, deadline.set)
    timer.start()
    try:
        while not (found := check()):
            assert not deadline.wait(0.05), "it did not come to pass"
        return found
    finally:
        timer.cancel()
