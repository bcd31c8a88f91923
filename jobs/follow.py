"""Following one job's log from a terminal: events as they are committed, and a board of bars, one a stage."""

import os
import select
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from jobs import doorbell, feed
from jobs.workflow import events as ev
from jobs.workflow.progress import CallView, Progress, StageView
from jobs.workflow.results import Status

POLL = 1.0  # seconds between two looks for a ring that was lost
COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "plain": ""}
STATUSES = {
    Status.COMPLETED: "green",
    Status.PARTIAL: "yellow",
    Status.FAILED: "red",
    Status.RUNNING: "cyan",
}


class JobGone(LookupError):
    """The job was removed while it was followed."""


def follow(job_id: object, poll: float = POLL) -> Iterator[ev.Recorded]:
    """Give every event of a job once and in order, as it is committed, up to the job's end.

    The doorbell wakes it; every `poll` seconds it looks for a ring that was lost. Raises JobGone.
    """
    bell = doorbell.hang(f"follow-{os.getpid()}-{time.monotonic_ns()}")
    seq = 0
    try:
        while True:  # the bell hangs before the log is read: what is committed after the reading rings
            page = feed.after(job_id, seq)
            for one in page:
                seq = one.seq
                yield one
                if feed.is_end(one):
                    return
            if not page and not _rings(bell, job_id, poll) and not feed.heads([job_id]):
                raise JobGone(f"job {job_id} does not exist any more")
    finally:
        doorbell.take_down(bell)


def _rings(bell: Any, job_id: object, seconds: float) -> bool:
    """Wait for a ring of this job, at most so many seconds; other jobs' rings are let pass."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([bell], [], [], left)[0] and bell.recv(200) == str(job_id).encode():
            return True
    return False


class Board:
    """Shows a job's fold: bars in a terminal, the log's lines anywhere else."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress()
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}", markup=False, justify="right"),
            TimeElapsedColumn(),
            _StateColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._rows: dict[str, Any] = {}
        self._told = 0

    def __enter__(self) -> "Board":
        self._bars.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bars.stop()

    def show(self, one: ev.Recorded) -> None:
        """Fold one more event in and show what it changes."""
        self.progress.apply(one)
        for line in self.progress.log:
            if line.seq > self._told:
                self.console.print(Text(clean(line.text), style=COLOURS[line.level]), soft_wrap=True)
                self._told = line.seq
        for stage in self.progress.stages:
            self._paint(stage)

    def _paint(self, stage: StageView) -> None:
        if stage.id not in self._rows:
            self._rows[stage.id] = self._bars.add_task(
                stage.name, start=False, total=1, count="", state="", style=""
            )
        row = self._rows[stage.id]
        if stage.started_at and not self._bars.tasks[row].started:
            self._bars.start_task(row)
        if stage.ended:
            self._bars.stop_task(row)
        self._bars.update(
            row,
            completed=stage.percent,
            total=100,
            count=f"{stage.current}/{stage.total}" if stage.total else "",
            state=clean(state_of(stage, self.progress.calls_of(stage.id))),
            style=STATUSES.get(stage.status, ""),
        )


class _StateColumn(TextColumn):
    """What a stage is doing, in the colour of its status."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Text:
        """Give the words of one row, on one line."""
        return Text(task.fields["state"], style=task.fields["style"], overflow="ellipsis", no_wrap=True)


def state_of(stage: StageView, calls: list[CallView]) -> str:
    """Say in a few words how a stage stands: its status once it has ended, else its waits and retries."""
    if stage.ended:
        return f"{stage.status}: {stage.error}" if stage.error else str(stage.status)
    waiting = [call for call in calls if call.state == "waiting"]
    again = sum(call.state == "retry" for call in calls)
    words = []
    if waiting:
        last = waiting[-1]
        words.append(f"{len(waiting)} waiting: {last.server} {last.in_use}/{last.limit}")
    if again:
        words.append(f"{again} to be tried again")
    return ", ".join(words) or stage.detail or str(stage.status)


def clean(text: str) -> str:
    """Give a text without the characters that could steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
