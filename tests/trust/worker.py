"""The product's worker with a configured index lag and the requested faults.

`python tests/trust/worker.py [--blind] [--commits FILE] [--die-at-commit N before|after]`. `--blind` switches
reconcile off, like an engine that only restarts from its last checkpoint. `--commits` writes one byte per
commit. Commits are counted where Django makes them, in this process: that is the same on every machine and
database, while strace's injection at `fdatasync` needs a kernel that allows tracing, and group commit already
makes one commit of everything that waits.
"""

import argparse
import dataclasses
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from tests.trust.kills import ROLE_LAG  # noqa: E402


def set_lag() -> None:
    """Set every role's index lag to the lag of this world."""
    from campaigns import roles

    roles.ROLES = {name: dataclasses.replace(role, lag=ROLE_LAG) for name, role in roles.ROLES.items()}


def count_commits(file: str, die_at: int, when: str) -> None:
    """Record each commit of the default database, and die right before or after one of them."""
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit, made = BaseDatabaseWrapper._commit, 0

    def counted(self: BaseDatabaseWrapper) -> None:
        nonlocal made
        made += 1
        if made == die_at and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self)
        if made == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if file:
            with open(file, "ab") as counter:
                counter.write(b".")

    BaseDatabaseWrapper._commit = counted


def main() -> None:
    """Run the worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--commits", default="")
    parser.add_argument("--die-at-commit", nargs=2, default=("0", ""))
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    set_lag()
    number, when = options.die_at_commit
    if options.commits or int(number):
        count_commits(options.commits, int(number), when)
    if options.blind:
        import django

        django.setup()
        from tests.trust.blind import go_blind

        go_blind()
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "worker"])


if __name__ == "__main__":
    main()
