"""The Huey task: the message that a job needs a worker, and the worker that handles it."""

from collections.abc import Callable

from huey.contrib.djhuey import HUEY

_handlers: list[Callable[[str], None]] = []


def handle_with(run: Callable[[str], None]) -> None:
    """Handle messages in this process: `run(job_id)` blocks until the job has ended or was released."""
    _handlers[:] = [run]


@HUEY.task(name="run_job")  # type: ignore[untyped-decorator]  # Huey ships no types
def run_job(job_id: str) -> None:
    """Run one job in this worker. Delivery is not guaranteed: the worker's sweep finds lost jobs."""
    for run in _handlers:
        run(job_id)
