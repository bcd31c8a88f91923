"""A process that writes one job's events as a worker would, at a given rate, until its input is closed.

It prints the job's id, then a line for each event: its seq, its type, the monotonic time after its commit.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice
from typing import TypedDict

import django

from jobs.engine import events as ev
from jobs.engine.graph import Workflow
from jobs.engine.results import JobStatus

STEPS = 35  # calls of a campaign; the story repeats them
ITEMS = 1_000_000
PAGE = 1000  # events in one commit of those written before


class Place(TypedDict):
    """The fields that every event of a stage has."""

    stage: str
    stage_name: str
    stage_index: int
    total_stages: int


def main() -> None:
    """Read the command line, write until standard input ends, then end the job."""
    parser = argparse.ArgumentParser(prog="benchmarks.story")
    parser.add_argument("--rate", type=float, default=2.0, help="events a second")
    parser.add_argument("--before", type=int, default=0, help="events to write at once, before the others")
    parser.add_argument(
        "--steps-only", action="store_true", help="write no calls: each event is a step that the page shows"
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    asked_to_end = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        asked_to_end.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    write_story(options, asked_to_end)


def write_story(options: argparse.Namespace, asked_to_end: threading.Event) -> None:
    """Create a job that no worker takes, and write its events, one in each commit."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from jobs.models import Job
    from jobs.registry import workflows
    from jobs.store import feed

    flow = next(iter(workflows().values()))
    job = Job.objects.create(
        owner=get_user_model().objects.get(username="admin"),
        workflow=flow.id,
        version=flow.version,
        title="A story without end",
        params={},
        plan=[[stage.id, stage.name, list(stage.needs)] for stage in flow.stages],
        status=JobStatus.RUNNING,
        leased_by="story",
        lease_until=timezone.now() + timedelta(days=1),
    )
    print(job.pk, flush=True)

    def write(event: ev.Event) -> None:
        [one] = feed.append(job.pk, [event])
        print(one.seq, event.type, time.monotonic(), flush=True)

    places = places_of(flow)
    named = [[one.id, one.name] for one in flow.stages]
    write(ev.JobQueued(workflow=flow.id, version=flow.version, title=job.title, stages=named))
    events = endless(places, calls=not options.steps_only)
    for size in [PAGE] * (options.before // PAGE):
        feed.append(job.pk, list(islice(events, size)))
    due = time.monotonic()
    for event in events:
        write(event)
        due += 1 / options.rate
        if asked_to_end.wait(max(0.0, due - time.monotonic())):
            break
    for place in places:
        write(ev.StageComplete(**place, status="completed", current=ITEMS, total=ITEMS))
    write(ev.WorkflowComplete(status=JobStatus.COMPLETED, total_stages=len(places)))


def places_of(flow: Workflow) -> list[Place]:
    """Return the fields that every event of a stage has, for each stage of a workflow."""
    return [
        {"stage": one.id, "stage_name": one.name, "stage_index": at, "total_stages": len(flow.stages)}
        for at, one in enumerate(flow.stages)
    ]


def endless(places: list[Place], *, calls: bool) -> Iterator[ev.Event]:
    """Yield the starts of all stages, then endless calls and steps of progress, one stage after the other."""
    for place in places:
        yield ev.StageStart(**place)
    for number in count(1):
        place = places[number % len(places)]
        step = f"{place['stage']}.call-{number % STEPS}"
        call = {"stage": place["stage"], "step": step, "server": "docs", "tool": "create_document"}
        if calls:
            yield ev.CallStart(**call, attempt=1)
            yield ev.CallComplete(**call, state="done", attempt=1, waited=0.1, took=0.2, source="local")
        yield ev.StageProgress(**place, current=number, total=ITEMS, detail=f"item {number}")


if __name__ == "__main__":
    main()
