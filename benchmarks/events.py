"""Measure committing events and reading among ten to a million of them. Run with `-m benchmarks.events`.

One process and the default SQLite file. The small job that is read is the same each time, and older than
all others; a list has a full page from a thousand events on.
"""

import asyncio
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.common import demand, table, verdict
from benchmarks.story import Place
from jobs.engine import events as ev

if TYPE_CHECKING:
    from jobs.store.writer import Writer
from benchmarks.filled import EACH, Filled, campaign, durable, file_system, lengthen, open_database

JOBS_AT_ONCE, WAITING = 16, 12  # jobs, and for each the callers that append an event at the same time
ONE_BY_ONE, TOGETHER, ROUNDS = 400, 4000, 3  # events of a round, each way, and rounds
GROUPED = 2.0  # times as many events a second with group commit, at least
QUICKER = 1.5  # commits for each flush of a growing file, at most: a log written in place is faster
SIZES = (10, 1_000, 1_000_000)
LENGTHS = (100, 1_000, 10_000, 50_000)
TIMES = 15
FLAT, NOISE = 2.0, 0.003  # times the time on a short table, and seconds of noise, at most
LOOKED = 0.5  # seconds at most for a search that looks through as many jobs as one page may
FULL, WAL = 2, "wal"
STEP = Place(stage="creative", stage_name="Generate Creatives", stage_index=4, total_stages=9)


def main() -> None:
    """Commit events both ways, read among few and many, fold short and long logs; judge the figures."""
    with tempfile.TemporaryDirectory(prefix="flightplan-bench-") as folder:
        open_database(Path(folder))
        written(Path(folder))
        stored()
        folded()


def written(folder: Path) -> None:
    """Commit events one by one and many together, in turns, and check what the database then holds."""
    job = [campaign(f"Written {n}", 1, days=1).pk for n in range(JOBS_AT_ONCE)]
    told: dict[UUID, list[str]] = {pk: [] for pk in job}
    flushes = flushed(folder)
    alone, together = asyncio.run(rounds(told))
    one, many = statistics.median(alone), statistics.median(together)
    for pk, marks in told.items():
        check_log(pk, marks)
    count = sum(map(len, told.values()))
    rows = [
        ("a commit each", f"{one:.0f}", "1.00", f"{min(alone):.0f} to {max(alone):.0f}"),
        (f"{JOBS_AT_ONCE * WAITING} waiting", f"{many:.0f}", f"{many / one:.2f}", spread(together)),
    ]
    print(
        f"\n{count} events of {len(job)} jobs on {file_system(folder)}, all there, in order, without a gap;"
    )
    print(f"the disk flushes {flushes:.0f} times a second\n")
    print(table(("events through the writer", "a second", "ratio", f"in {ROUNDS} rounds"), rows))
    demand(one <= QUICKER * flushes, "more commits than the disk can flush: they did not wait for it")
    demand(many >= GROUPED * one, f"group commit is only {many / one:.2f} times as fast")


def spread(rates: list[float]) -> str:
    """Return the slowest and the fastest round."""
    return f"{min(rates):.0f} to {max(rates):.0f}"


def flushed(folder: Path) -> float:
    """Return how often a second this disk flushes a page of 4 kB: no commit can be faster."""
    times, page = 200, os.urandom(4096)
    with (folder / "flushes").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(times):
            file.write(page)
            os.fsync(file.fileno())
        return times / (time.perf_counter() - begun)


async def rounds(told: dict[UUID, list[str]]) -> tuple[list[float], list[float]]:
    """Return the events a second of each round, one by one and together.

    Raises Unmet without full durability.
    """
    from jobs.store.writer import Writer

    writer = Writer()
    try:
        settings = await writer.run(durable)
        demand(settings["synchronous"] == FULL, f"synchronous is {settings['synchronous']}, not FULL")
        demand(settings["journal_mode"] == WAL, f"the journal is {settings['journal_mode']}, not WAL")
        demand(settings["bytes"], "the database is no file")
        alone: list[float] = []
        together: list[float] = []
        for _ in range(ROUNDS):
            alone.append(await rate(writer, told, ONE_BY_ONE, 1))
            together.append(await rate(writer, told, TOGETHER, len(told) * WAITING))
        return alone, together
    finally:
        await asyncio.to_thread(writer.close)


async def rate(writer: "Writer", told: dict[UUID, list[str]], count: int, at_once: int) -> float:
    """Commit `count` events, `at_once` of them waiting, and return how many that were a second."""
    from jobs.store import feed

    jobs, left = list(told), iter(range(count))

    async def caller(pk: UUID) -> None:
        for number in left:
            mark = f"{at_once} at once: {number}"
            told[pk].append(mark)  # the writer commits in the order in which it is asked
            event = ev.StageProgress(**STEP, current=number, total=count, detail=mark)
            [one] = await writer.run(partial(feed.append, pk, [event]))
            demand(one.seq > 1, "an event without its seq")

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for at in range(at_once):
            callers.create_task(caller(jobs[at % len(jobs)]))
    return count / (time.perf_counter() - begun)


def check_log(pk: UUID, marks: list[str]) -> None:
    """Raise Unmet unless a job's log has every event that was committed to it, in order, without a gap."""
    from jobs.store import feed

    log = list(feed.whole(pk))
    demand([one.seq for one in log] == list(range(1, len(log) + 1)), f"job {pk} has gaps")
    shown = [one.event.detail for one in log if isinstance(one.event, ev.StageProgress)]
    demand(shown == marks and len(log) == len(marks) + 1, f"job {pk} lacks what was committed to it")


def stored() -> None:
    """Read the same things with few and with many events stored, and judge that many cost no more."""
    from django.db import connection

    with connection.cursor() as cursor:  # the rounds before are not among the events that are counted
        cursor.execute("DELETE FROM jobs_workflowevent")
        cursor.execute("DELETE FROM jobs_job")
    filled, filling = Filled.begin(), 0.0
    found: dict[str, list[tuple[float, int]]] = {}
    for size in SIZES:
        begun = time.perf_counter()
        filled.fill(size)
        filling = time.perf_counter() - begun
        for name, (read, shown) in readings(filled).items():
            found.setdefault(name, []).append((timed(read), shown))
    few, thousand, many = ([times[at][0] for times in found.values()] for at in range(3))
    rows = [
        (name, *(f"{1000 * seconds:.1f} ms" for seconds in (a, b, c)), f"{c / a:.2f}", f"{c / b:.2f}")
        for name, a, b, c in zip(found, few, thousand, many, strict=True)
    ]
    print(f"\n{filled.events:,} events of {filled.events // EACH:,} jobs stored, in {filling:.0f} s\n")
    head = ("median of reading", *(f"of {size:,}" for size in SIZES), "million to 10", "to 1,000")
    print(table(head, rows))
    for name, a, b, c in zip(found, few, thousand, many, strict=True):
        if "nothing" in name:  # it searches as many jobs as one page may, and before there were fewer
            demand(c <= LOOKED, f"{name} takes {c:.2f} s of a million events, more than {LOOKED:g} s")
        else:
            # a list of ten events has no full page, so its page is compared with that of a thousand
            base = a if found[name][0][1] == found[name][2][1] else b
            demand(c <= FLAT * base + NOISE, f"{name} takes {c / base:.1f} times as long of a million events")


def readings(filled: Filled) -> dict[str, tuple[Callable[[], Any], int]]:
    """Return what is read, by name: a function that reads it, and how many rows it shows."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.urls import reverse

    from jobs.live import painted
    from jobs.models import Job, WorkflowEvent
    from jobs.store import feed, keyset

    client, job = Client(SERVER_NAME="localhost"), filled.job
    client.force_login(get_user_model().objects.get(username="admin"))
    half = WorkflowEvent.objects.order_by("-id")[filled.events // 2]
    jobs = Job.objects.order_by("-created_at", "-id")
    middle = jobs[jobs.count() // 2]

    def page(address: str, rows: str = "<tr") -> tuple[Callable[[], Any], int]:
        shown = client.get(address)
        demand(shown.status_code == 200, f"{address} answers {shown.status_code}")
        return lambda: client.get(address), shown.content.decode().count(rows)

    def poll() -> Any:
        painted._kept.clear()  # as after each event: the page is not rendered yet
        return client.get(reverse("job-progress", args=[job.pk]))

    demand(str(poll().content).count("stage-") >= 9, "the fragment shows no stages")
    events, all_jobs = reverse("admin:jobs_workflowevent_changelist"), reverse("admin:jobs_job_changelist")
    deep = keyset.MOMENTS.text(keyset.MOMENTS.key(middle))
    return {
        "fold of a job": (lambda: feed.progress(job.pk), 1),
        "fragment of its page": (poll, 1),
        "admin, events: first page": page(events),
        "admin, events: half way down": page(f"{events}?older={half.pk + 1}"),
        "admin, events: of a rare type": page(f"{events}?type=workflow:complete"),
        "admin, events: of one job": page(f"{events}?q={job.pk}"),
        "admin, jobs: first page": page(all_jobs),
        "admin, jobs: half way down": page(f"{all_jobs}?older={deep}"),
        "admin, jobs: text, nothing found": page(f"{all_jobs}?q={uuid.UUID(int=7).hex[:9]}-"),
        "jobs' page": page(reverse("jobs")),
        "jobs' page: text, nothing found": page(f"{reverse('jobs')}?q=no+such+title"),
        "API, jobs: half way down": page(f"/api/jobs?after={deep}", '"jobId"'),
    }


def timed(read: Callable[[], Any]) -> float:
    """Return the median seconds that a function takes, after two calls that do not count."""
    times = []
    for at in range(TIMES + 2):
        begun = time.perf_counter()
        read()
        if at >= 2:
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def folded() -> None:
    """Fold one job as its log grows, beside a million other events; judge that an event costs the same."""
    from jobs.store import feed

    job = campaign("Long", LENGTHS[0], days=0)
    costs: list[float] = []
    measured: list[tuple[str, str, str]] = []
    for length in LENGTHS:
        if length > job.last_seq:
            lengthen(job, length)
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            progress = feed.progress(job.pk)
            times.append(time.perf_counter() - begun)
            demand(progress.last_seq == length, f"the fold ends at {progress.last_seq}, not at {length}")
        costs.append(min(times) / length)
        measured.append((f"{length:,}", f"{1000 * min(times):.0f} ms", f"{1e6 * costs[-1]:.0f} us"))
    rows = [(*row, f"{cost / costs[1]:.2f}") for row, cost in zip(measured, costs, strict=True)]
    print()
    print(table(("events of the folded job", "time", "an event", "ratio to 1,000"), rows))
    demand(costs[-1] <= FLAT * costs[1], "an event of a long log costs more to fold than one of a short log")


if __name__ == "__main__":
    verdict(main)
