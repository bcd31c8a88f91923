"""Where the time of a whole campaign goes when its servers take none. `-m benchmarks.profiles`

One worker in this process, over simulated servers that answer at once; campaigns one after the other. Every
two milliseconds each thread is looked at: a sample counts where it is at work or waits for the disk, and not
where it waits for other threads.
"""

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from benchmarks import simulated
from benchmarks.house import ROOT, calm, demand, table, verdict

CAMPAIGNS, EACH_SECONDS = 30, 0.002
CALLS = 37
#: Where a thread waits rather than works: the last function of its stack.
WAITS = {
    "wait",
    "select",
    "get",
    "_do_waitpid",
    "_worker",
    "acquire",
    "join",
    "_gather",
    "sleep",
}
#: What a sample counts for: the innermost of these files or folders on its stack.
ROOMS = {
    "campaigns/pictures/imaging.py": "pictures: fitting to their size",
    "campaigns/documents": "documents: texts and sheets",
    "campaigns/stages": "stages",
    "jobs/store/rows.py": "journal and log: rows in plain SQL",
    "jobs/store/feed.py": "log: numbers, rows",
    "jobs/store/projection.py": "log: projections",
    "jobs/worker/journal.py": "journal",
    "jobs/store/calls.py": "journal",
    "jobs/worker/leases.py": "leases",
    "jobs/acts/actions.py": "actions: launch and end",
    "jobs/worker/durations.py": "learned durations",
    "jobs/worker/outlooks.py": "expected time left",
    "jobs/engine/outlook.py": "expected time left",
    "jobs/engine": "engine",
    "jobs/store/doorbell.py": "doorbell",
    "jobs/store/files.py": "files, safe on the disk",
    "jobs/worker/perform.py": "reading the job and telling its end",
    "jobs/store/outbox.py": "webhooks",
    "jobs/store/writer.py": "writer: transactions and commits",
    "jobs/tools": "gateway and sessions",
    "jobs": "other rooms of jobs",
    "mcp": "MCP SDK",
    "asyncio": "event loop",
}


def main() -> None:
    """Run the campaigns, and print where their time went."""
    calm()
    with tempfile.TemporaryDirectory(prefix="flightplan-profile-") as place:
        folder = Path(place)
        servers = simulated.servers_file(folder, simulated.Pace(each=0.0))
        os.environ |= {
            "DATA_DIR": str(folder / "data"),
            "TOOL_SERVERS": str(servers),
            "RETRY_BACKOFF": "0.05",
        }
        with Worker() as worker:
            worker.campaign()  # the first one finds everything cold
            profile, began, spent = Profile(), time.monotonic(), time.process_time()
            with profile:
                for _ in range(CAMPAIGNS):
                    worker.campaign()
            took, cpu = time.monotonic() - began, time.process_time() - spent
    per, cpu = took / CAMPAIGNS, cpu / CAMPAIGNS
    print(
        f"\na campaign of {CALLS} calls: {1000 * per:.0f} ms, {1000 * cpu:.0f} ms of the processor,", end=" "
    )
    print(f"{1000 * cpu / CALLS:.1f} ms for each call with all that is around it\n")
    print(table(("at work", "share"), profile.shares(profile.rooms)))
    print()
    print(table(("thread", "share"), profile.shares(profile.threads)))


class Worker:
    """A worker of this process, without web and Huey."""

    def __enter__(self) -> "Worker":
        from benchmarks.house import django

        django()
        from django.contrib.auth.models import User
        from django.core.management import call_command

        from jobs.worker.runtime import Runtime

        call_command("migrate", verbosity=0)
        self.owner = User.objects.create(username="profile")
        self.runtime = Runtime(only=True)
        self.runtime.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.runtime.stop()

    def campaign(self) -> None:
        """Launch a campaign, and run it to its end."""
        from jobs.acts import actions

        job = actions.launch("campaign-lifecycle", {"campaign": "aurora-one"}, self.owner).job
        self.runtime.run(str(job.pk))
        job.refresh_from_db()
        demand(job.status == "completed", f"the campaign ended {job.status}")
        demand(job.calls.count() == CALLS, f"it made {job.calls.count()} calls, not {CALLS}")


class Profile:
    """Looks at all threads again and again while its block runs."""

    def __init__(self) -> None:
        self.rooms: Counter[str] = Counter()
        self.threads: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Profile":
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join()
        demand(sum(self.rooms.values()) > 500, "there are too few samples to tell anything")

    def shares(self, counted: Counter[str]) -> list[tuple[str, str]]:
        """Give what was counted, the most first, each with its share; what is below one per cent together."""
        whole = sum(counted.values())
        rows = [
            (name, f"{100 * count / whole:.0f} %")
            for name, count in counted.most_common()
            if count >= whole / 100
        ]
        rest = whole - sum(count for _, count in counted.most_common() if count >= whole / 100)
        return [*rows, ("all else", f"{100 * rest / whole:.0f} %")]

    def _look(self) -> None:
        while not self._over.wait(EACH_SECONDS):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                name = names.get(ident, "")
                if ident == threading.get_ident() or frame.f_code.co_name in WAITS or name == "MainThread":
                    continue
                self.rooms[_room(frame)] += 1
                self.threads[_kind(name)] += 1


def _room(frame: FrameType) -> str:
    for path in _files(frame):
        for start, name in ROOMS.items():
            if path.startswith(start):
                return name
    return "all else"


def _files(frame: FrameType | None) -> Iterator[str]:
    """The files of a stack, innermost first: ours from the project's folder on, others by their package."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
            yield str(path.relative_to(ROOT))
        elif "mcp" in path.parts or "asyncio" in path.parts:
            yield "mcp" if "mcp" in path.parts else "asyncio"
        frame = frame.f_back


def _kind(name: str) -> str:
    """What a thread is there for, whatever its number."""
    kinds = {"runtime": "the loop", "writer": "the writer", "asyncio": "files, pictures and sheets"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "others")


if __name__ == "__main__":
    verdict(main)
