"""manage.py worker: runs jobs."""

import fcntl
import gc
import logging
import os
import signal
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from huey.consumer import Consumer
from huey.contrib.djhuey import HUEY

from jobs.cli.accounts import must_have_tables
from jobs.cli.supervisor import end_with_parent
from jobs.tasks import handle_with
from jobs.worker.runtime import GRACE_SECONDS, Runtime

log = logging.getLogger(__name__)
CONSUMER_SECONDS = GRACE_SECONDS + 8  # its threads end once their jobs are released


class WorkerConsumer(Consumer):  # type: ignore[misc]  # huey has no types
    """Huey's consumer, which signals a shutdown to the runtime before it waits for its threads.

    A thread ends only when its job has ended or was released. Without the signal it would wait for whole
    campaigns.
    """

    runtime: Runtime

    def stop(self, graceful: bool = False) -> None:
        """Stop the worker, gracefully or at once."""
        self.runtime.begin_shutdown()
        super().stop(graceful)


class Command(BaseCommand):
    """Runs the jobs of this installation until it gets a signal."""

    # the web process runs the checks, which are mostly about its addresses; here they only take time
    requires_system_checks = ()
    help = "Run queued jobs. With SQLite there is one worker process; a second one refuses to start."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C. Calls in progress finish, then the jobs are released.

        Raises CommandError if the database has no tables, or if it is SQLite and already has a worker.
        """
        must_have_tables()
        lock = self._only_one() if settings.SQLITE else None
        end_with_parent()
        # without its loop the process would keep the lock and do nothing, so it ends and is restarted
        runtime = Runtime(on_crash=lambda: os.kill(os.getpid(), signal.SIGTERM), only=lock is not None)
        runtime.start()
        gc.collect()
        gc.freeze()  # imported objects stay: a collection that scans them delays every call by 0.1 s
        handle_with(runtime.run)
        consumer = WorkerConsumer(
            HUEY,
            workers=settings.JOBS_AT_ONCE,
            periodic=False,
            initial_delay=0.1,
            max_delay=0.1,
            shutdown_timeout=CONSUMER_SECONDS,
            graceful_signal="TERM",
        )
        consumer.runtime = runtime
        try:
            consumer.run()
        finally:
            runtime.stop()
            if lock:
                lock.close()
        if runtime.failed:
            raise CommandError("the worker's loop ended unexpectedly; the log has the cause")

    def _only_one(self) -> TextIO:
        lock = open(settings.DATA_DIR / "worker.lock", "w")  # noqa: SIM115 - held until the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another worker is running on {settings.DATA_DIR}. SQLite allows one worker process; "
                "to run several, set DATABASE_URL to a PostgreSQL database."
            ) from None
        return lock
