"""Launch the small workflow in a test, run it on a worker, and wait for results."""

import threading

from jobs.acts import actions
from tests.jobs import story

SOON = 20.0


def launch(title="Small", **values):
    return actions.launch("small", {"title": title, **values}, story.user()).job


def run(worker, job):
    """Run a job in its own thread, as Huey does, and wait for its end."""
    thread = threading.Thread(target=worker.run, args=(str(job.pk),))
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive()
    job.refresh_from_db()
    return job


def until(check):
    """Wait until a check holds; repeat it whenever a commit rings the bell, or ten times a second."""
    deadline = threading.Event()
    timer = threading.Timer(SOON, deadline.set)
    timer.start()
    try:
        while not (found := check()):
            assert not deadline.wait(0.05), "it did not come to pass"
        return found
    finally:
        timer.cancel()
