"""A job's progress in a terminal: a bar per stage with counts, retries and waits. Elsewhere: log lines."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from rich.console import Console, RenderableType
from rich.progress import BarColumn, ProgressColumn, Task, TaskID
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from jobs.engine import events as ev
from jobs.engine.progress import CallView, Progress, StageView
from jobs.engine.results import Status

COLORS = {"good": "green", "bad": "red", "warn": "yellow", "plain": ""}
STATUSES = {
    Status.COMPLETED: "green",
    Status.PARTIAL: "yellow",
    Status.FAILED: "red",
    Status.RUNNING: "cyan",
}
UNKNOWN = "yellow"
LATE_SECONDS = 3.0  # after the expected end, before the job "takes longer than expected", as on the page
WIDE, MIDDLING = 100, 60  # terminal columns: below these, bars are shorter, then omitted with the times


class Board:
    """Shows a job's events as they arrive: bars in a terminal, log lines anywhere else.

    `quiet`: only track the progress and print nothing.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self._quiet = console, quiet
        self.progress = Progress()
        self._rows: dict[str, TaskID] = {}
        self._pauses: dict[str, float] = {}
        self._printed = 0
        self._last: tuple[datetime, float] | None = None
        self.banners: list[str] = []
        self.footer = ""
        self._bars = _Bars(self, console, disable=quiet or not console.is_terminal)

    def __enter__(self) -> "Board":
        self._bars.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bars.stop()

    def show(self, one: ev.Recorded) -> None:
        """Apply one more event and show what it changes."""
        self.progress.apply(one)
        self._last = (one.at, time.monotonic())
        if isinstance(one.event, ev.CallRetry):
            self._pauses[one.event.step] = one.event.delay
        if self._quiet:
            return
        for line in self.progress.log:
            if line.seq > self._printed:
                self.say(line.text, COLORS[line.level])
                self._printed = line.seq
        self.banners = [banner(server, why) for server, why in self.progress.down.items()]
        self.footer = footer(self.progress)
        for stage in self.progress.stages:
            self._paint(stage)

    def say(self, text: str, style: str = UNKNOWN) -> None:
        """Print a line above the bars."""
        self.console.print(Text(clean(text), style=style), soft_wrap=True)

    def live(self) -> RenderableType:
        """Return the live part as it is now; it is refreshed several times a second."""
        return self._bars.get_renderable()

    def now(self) -> datetime | None:
        """Return the time by the installation's clock: that of its last event, advanced by our clock."""
        return self._last and self._last[0] + timedelta(seconds=time.monotonic() - self._last[1])

    def _paint(self, stage: StageView) -> None:
        if stage.id not in self._rows:
            self._rows[stage.id] = self._bars.add_task("", total=100)
        calls = self.progress.calls_of(stage.id)
        unknown = any(call.state == "unknown" for call in calls)
        self._bars.update(
            self._rows[stage.id],
            completed=stage.percent,
            name=clean(stage.name),
            count=f"{stage.current}/{stage.total}" if stage.total else "",
            state=clean(state_of(stage, calls, self._pauses)),
            style=UNKNOWN if unknown else STATUSES.get(stage.status, ""),
            span=(stage.started_at, stage.ended_at),
        )


class _Bars(Bars):
    """The live part: banners of failing servers, a row per stage, and a line about the whole job."""

    def __init__(self, board: Board, console: Console, *, disable: bool) -> None:
        self._board = board
        columns: list[ProgressColumn] = [_Words("name", ratio=2), _Words("count"), _Words("state", ratio=3)]
        if console.width >= MIDDLING:
            columns.insert(1, BarColumn(bar_width=24 if console.width >= WIDE else 10))
            columns.insert(3, _Elapsed(board))
        super().__init__(*columns, console=console, disable=disable, expand=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield what is refreshed several times a second."""
        for text in self._board.banners:
            yield _line(text, "red")
        yield self.make_tasks_table(self.tasks)
        progress, now = self._board.progress, self._board.now()
        if self._board.footer:
            span = (progress.started_at or progress.queued_at, progress.ended_at)
            words = [self._board.footer, elapsed(*span, now), left(progress.expected_end, now)]
            yield _line(" · ".join(filter(None, words)), "bold")


class _Words(ProgressColumn):
    """One field of a row, on one line. A narrow terminal cuts off its end."""

    def __init__(self, name: str, *, ratio: int | None = None) -> None:
        self._name = name
        super().__init__(Column(no_wrap=True, overflow="ellipsis", ratio=ratio))

    def render(self, task: Task) -> Text:
        """Return the field's text; a state has the color of its status."""
        style = task.fields.get("style", "") if self._name == "state" else ""
        return _line(task.fields.get(self._name, ""), style)


class _Elapsed(ProgressColumn):
    """How long a stage has taken, by the installation's clock."""

    def __init__(self, board: Board) -> None:
        self._board = board
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> Text:
        """Return the time of one row, or "" before it has started."""
        started, ended = task.fields.get("span", (None, None))
        return _line(elapsed(started, ended, self._board.now()))


def state_of(stage: StageView, calls: list[CallView], pauses: dict[str, float]) -> str:
    """Return a stage's state in a few words: its status once it has ended, otherwise its waits and retries.

    `pauses`: the seconds before the next attempt of a call, by step.
    """
    if stage.ended:
        words = [f"{stage.status}: {stage.error}" if stage.error else str(stage.status)]
    else:
        sent = sum(call.state == "sent" for call in calls)
        words = [*_holdups(calls, pauses)] or [
            stage.detail or (f"{sent} in progress" if sent else str(stage.status))
        ]
    return ", ".join([*words, *_marks(calls)])


def _holdups(calls: list[CallView], pauses: dict[str, float]) -> Iterator[str]:
    """Yield what a stage's calls wait for: a permit, or their next attempt."""
    waiting = [call for call in calls if call.state == "waiting"]
    again = [call for call in calls if call.state == "retry"]
    if waiting:
        last = waiting[-1]
        yield f"{len(waiting)} waiting: {last.server}" + (
            f" {last.in_use}/{last.limit}" if last.limit else ""
        )
    if again:
        last = again[-1]
        pause = f", next attempt in {pauses[last.step]:g} s" if last.step in pauses else ""
        yield f"{len(again)} to be retried: {last.error}{pause}"


def _marks(calls: list[CallView]) -> Iterator[str]:
    """Yield the counts of retries, unknown calls and fallbacks."""
    retries = sum(max(0, call.attempts - (call.state != "retry")) for call in calls)
    if retries:
        yield f"{retries} {'retry' if retries == 1 else 'retries'}"
    if unknown := sum(call.state == "unknown" for call in calls):
        yield f"{unknown} unknown"
    if fallbacks := sum(call.fallback for call in calls):
        yield f"{fallbacks} {'fallback' if fallbacks == 1 else 'fallbacks'}"


def banner(server: str, why: str) -> str:
    """Return the line that says that calls to a server are paused."""
    return clean(f"{server} is failing; calls to it are paused: {why}")


def footer(progress: Progress) -> str:
    """Return a line about the whole job: its status, and the number of calls by state."""
    states = [call.state for call in progress.calls.values()]
    words = ["cancelling" if progress.cancelling else str(progress.status)]
    words += ["dry run, nothing is sent"] if progress.dry_run else []
    words += (
        [f"{states.count('done')} of {len(states)} calls done"] if states and not progress.dry_run else []
    )
    words += [f"{states.count(name)} {name}" for name in ("waiting", "unknown", "failed") if name in states]
    return clean(" · ".join(words))


def elapsed(start: datetime | None, end: datetime | None, now: datetime | None) -> str:
    """Return the time from start to end (or now) as 1:05 or 1:00:05, or "" before the start."""
    end = end or now
    if start is None or end is None:
        return ""
    minutes, seconds = divmod(max(0, int((end - start).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def left(end: datetime | None, now: datetime | None) -> str:
    """Return the expected remaining time, such as "about 1:05 left", or "" if it is not known."""
    if end is None or now is None:
        return ""
    seconds = (end - now).total_seconds()
    if seconds < 1:
        return "about to end" if seconds >= -LATE_SECONDS else "taking longer than expected"
    return f"about {elapsed(now, end, None)} left"


def clean(text: str) -> str:
    """Replace the characters of a text that could control a terminal by "?"."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)
