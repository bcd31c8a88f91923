"""The Huey task: a message that says «this job wants a worker», and the house where it is answered."""

from collections.abc import Callable

from huey.contrib.djhuey import HUEY

_house: list[Callable[[str], None]] = []


def open_house(run: Callable[[str], None]) -> None:
    """Let this process answer messages: `run(job_id)` blocks until the job has ended or was given back."""
    _house[:] = [run]


@HUEY.task(name="run_job")
def run_job(job_id: str) -> None:
    """Run one job in this worker. Delivery is not guaranteed: the worker's sweeper finds what was lost."""
    for run in _house:
        run(job_id)
