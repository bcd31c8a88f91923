"""manage.py worker: runs jobs."""

import fcntl
import gc
import logging
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from huey.consumer import Consumer
from huey.contrib.djhuey import HUEY

from jobs.cli.accounts import must_have_tables
from jobs.cli.supervisor import end_with_parent
from jobs.tasks import handle_with
from jobs.worker.runtime import GRACE_SECONDS, Runtime

log = logging.getLogger(__name__)
CONSUMER_SECONDS = GRACE_SECONDS + 8  # its threads come back when their jobs were given back


class HouseConsumer(Consumer):
    """Huey's consumer, which tells the loop of a shutdown before it waits for its threads.

    A thread comes back only when its job has ended or was given back: without the word it would wait
    for whole campaigns.
    """

    runtime: Runtime

    def stop(self, graceful: bool = False) -> None:
        """End the worker, gracefully or at once."""
        self.runtime.begin_shutdown()
        super().stop(graceful)


class Command(BaseCommand):
    """Runs the jobs of this installation until it is told to stop."""

    # the web process has what is checked, addresses above all; here they would only cost time
    requires_system_checks = ()
    help = "Run queued jobs. With SQLite there is one worker process; a second one refuses to start."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C; calls in flight finish and jobs are given back.

        Raises CommandError on a database that has no tables, and where SQLite has its worker already.
        """
        must_have_tables()
        lock = self._only_one() if settings.SQLITE else None
        end_with_parent()
        # without its loop this process would keep its lock and answer nothing: it ends, and is started again
        runtime = Runtime(on_crash=lambda: os.kill(os.getpid(), signal.SIGTERM), only=lock is not None)
        runtime.start()
        gc.collect()
        gc.freeze()  # what is imported stays: looking through all of it again holds up every call for 0.1 s
        handle_with(runtime.run)
        consumer = HouseConsumer(
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
            raise CommandError("the worker's loop ended by itself; the log says why")

    def _only_one(self) -> Any:
        lock = open(settings.DATA_DIR / "worker.lock", "w")  # noqa: SIM115 - held as long as the process lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another worker is running on {settings.DATA_DIR}. SQLite allows one worker process; "
                "for several, set DATABASE_URL to a PostgreSQL database."
            ) from None
        return lock
