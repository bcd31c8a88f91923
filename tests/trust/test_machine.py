"""Launch, cancel, kill, resume, retry and resolve in any order, with a real database and server."""

import os
from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from jobs import registry
from jobs.acts import actions
from jobs.acts.rounds import ActionRefused
from jobs.models import Job, ToolCall
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import story
from tests.trust.bench import Bench, Worker, alive, kill_process, until
from tests.trust.blind import go_blind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
CASES = int(os.environ.get("TRUST_CASES", "5"))
META = "flightplan/idempotency-key"
WORDS = ("ok", "fail", "crash-before", "crash-after")
ROUNDS = 30  # at the end of a history
BENCH: list[Bench] = []


class Trust(RuleBasedStateMachine):
    """One job and its workers. People resolve calls correctly: they check whether the effect exists.

    A rule that does not apply just lets the job run on. Preconditions would have to hold again at each
    replay, but the timing of real processes varies.
    """

    @initialize()
    def launch(self) -> None:
        self.bench = BENCH[0]
        self.bench.forget()
        self.user = story.user()
        self.job = actions.launch("little", {"title": "Little"}, self.user).job
        self.workers: list[Worker] = []
        self.released: set[str] = set()
        self.began = 0

    # -- state

    @property
    def worker(self) -> Worker | None:
        return self.workers[-1] if self.workers and not self.workers[-1].writer.dead else None

    def fresh(self) -> Job:
        self.job.refresh_from_db()
        return self.job

    def held(self) -> list[dict]:
        """Return the calls that are held by servers whose process can still act."""
        held = [one for one in self.bench.entries("held") if one["hold"] not in self.released]
        return [one for one in held if alive(one["pid"])]

    def busy(self) -> bool:
        return self.worker is not None and self.worker.busy

    def calm(self) -> None:
        """Wait until the worker is done or waits for a server."""
        until(lambda: not self.busy() or self.held())

    def say(self, one: dict, word: str) -> None:
        part = self.bench.folder / f"{one['hold']}.part"
        part.write_text(word)
        part.rename(self.bench.folder / one["hold"])
        self.released.add(one["hold"])
        over = until(lambda: not alive(one["pid"]) or one["hold"] in self.over())
        assert over, "the server has not taken its word"

    def over(self) -> set[str]:
        """Return the held calls that can have no further effect."""
        return {one["hold"] for one in self.bench.entries("over")}

    # -- rules

    @rule()
    def run_on(self) -> None:
        if self.busy() or self.fresh().ended:
            self.onward()
            return
        if self.worker:
            self.worker.retire()
            self.workers.pop()
        leases.end_leases_of_the_dead()
        self.began += 1
        worker = Worker(self.bench, f"bench:{self.began}")
        self.workers.append(worker)
        worker.take(self.fresh())
        self.calm()

    def onward(self) -> None:
        """Let the job run without any user action."""
        if held := self.held():
            self.say(held[0], "ok")
            self.calm()
        elif not self.busy() and not self.fresh().ended:
            self.run_on()

    @rule(which=st.integers(0, 5), word=st.sampled_from(WORDS))
    def answer(self, which: int, word: str) -> None:
        if not self.held():
            self.onward()
            return
        held = self.held()
        self.say(held[which % len(held)], word)
        self.calm()

    @rule(server_lives=st.booleans())
    def kill(self, server_lives: bool) -> None:
        if not self.busy():
            self.onward()
            return
        self.worker.kill()
        if not server_lives:
            for pid in self.bench.processes():
                kill_process(pid)

    @rule(notices=st.booleans(), really=st.integers(0, 2))
    def cancel(self, notices: bool, really: int) -> None:
        if self.fresh().ended or not really:
            self.onward()
            return
        actions.cancel(self.job, self.user)
        if self.busy() and notices:
            self.worker.ask_to_stop()

    @rule(what=st.sampled_from(("all", "stage", "step")), which=st.integers(0, 4))
    def retry(self, what: str, which: int) -> None:
        if not self.fresh().ended:
            self.onward()
            return
        rows = list(self.job.calls.all())
        more = {}
        if what == "stage":
            more = {"stage": self.job.plan[which % len(self.job.plan)][0]}
        elif what == "step" and rows:
            more = {"step": rows[which % len(rows)].step}
        try:
            actions.retry(self.job, self.user, **more)
        except ActionRefused:
            assert self.fresh().ended

    @rule(which=st.integers(0, 3), skip=st.booleans())
    def resolve(self, which: int, skip: bool) -> None:
        if not self.unknown():
            self.onward()
            return
        rows = self.unknown()
        self.settle(rows[which % len(rows)], skip=skip)

    def unknown(self) -> list[ToolCall]:
        """Return the unknown calls that a user can resolve, because no server can still make them."""
        held = {one["meta"][META] for one in self.held()}
        rows = ToolCall.objects.filter(job=self.job, state="unknown")
        return [row for row in rows if row.key not in held]

    def settle(self, row: ToolCall, *, skip: bool = False) -> None:
        made = [one for one in self.bench.entries("effect") if one["meta"][META] == row.key]
        outcome = "skip" if skip else "exists" if made else "absent"
        remote_id = made[0]["id"] if outcome == "exists" else ""
        actions.resolve(self.job, row.step, outcome, self.user, remote_id=remote_id)

    # -- invariants

    @invariant()
    def the_promises_hold(self) -> None:
        if not hasattr(self, "job"):
            return
        self.fresh()
        events = list(feed.whole(self.job.pk))
        assert [one.seq for one in events] == list(range(1, len(events) + 1)), "the log has gaps"
        made = [one["meta"][META] for one in self.bench.entries("effect")]
        assert len(made) == len(set(made)), "an effect happened twice"
        rows = list(self.job.calls.all())
        if self.job.ended:
            assert not [row.step for row in rows if row.state == "sent"], "sent, though the job has ended"
        if self.job.status == "completed":
            assert {row.state for row in rows} == {"done"} and len(rows) == 4, "called complete"
        for row in rows:
            assert row.state != "done" or row.key in made, f"{row.step} is called done"
        self._counts_and_cancels(events)

    def _counts_and_cancels(self, events: list) -> None:
        cancelling, counts = False, {}
        for one in events:
            kind = one.event.type
            cancelling = kind == "job:cancelling" or (cancelling and kind != "job:retrying")
            assert not (cancelling and kind == "call:start"), "a call started after the cancel"
            if kind == "stage:progress":
                before = counts.get(one.event.stage, 0)
                assert one.event.current >= before, f"current of {one.event.stage} fell"
                counts[one.event.stage] = one.event.current

    def teardown(self) -> None:
        if not hasattr(self, "job"):
            return
        try:
            self._to_the_end()
        finally:
            self._clear()

    def _clear(self) -> None:
        """Keep an unused server for the next history, and clean up everything else."""
        whole = self.worker and not self.busy() and len(self.workers) == 1
        if whole and not self.held():
            self.workers.pop().retire()
            return
        for worker in self.workers:
            if worker.busy:
                worker.kill()
        for pid in self.bench.processes():
            kill_process(pid)
        for worker in self.workers:
            self.bench.do(worker.gateway.aclose())

    def _to_the_end(self) -> None:
        """Bring the job to its end: workers run, servers answer, and users resolve unknown calls."""
        for _ in range(ROUNDS):
            for one in self.held():
                self.say(one, "ok")
            self.the_promises_hold()
            if not self.busy():
                if self.fresh().ended and not self.unknown():
                    break
                if self.job.ended and self.job.status != "cancelled":
                    self.settle(self.unknown()[0])
                elif self.job.ended:
                    break
                else:
                    self.run_on()
            self.calm()
        self.the_promises_hold()
        assert self.fresh().ended, f"the job is still {self.job.status}"


@pytest.fixture
def bench(settings, tmp_path, monkeypatch) -> Iterator[Bench]:
    """Provide one bench for all histories."""
    settings.WORKFLOWS = ["tests.trust.little.LITTLE"]
    settings.TOOL_ROLES = "tests.trust.little.ROLES"
    settings.BUNDLED_SERVERS = "tests.jobs.small.no_bundled"
    settings.RETRY_BACKOFF = 0.01
    settings.MEDIA_ROOT = str(tmp_path / "data")
    world = tmp_path / "world"
    world.mkdir()
    settings.TOOL_SERVERS = str(world / "servers.json")
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)
    registry.workflows.cache_clear()
    made = Bench(world)
    BENCH[:] = [made]
    yield made
    made.close()
    connection.close()
    registry.workflows.cache_clear()


def test_nothing_is_lost_or_duplicated_in_any_order_of_events(bench: Bench):
    run_state_machine_as_test(
        Trust,
        settings=settings(
            max_examples=CASES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_machine_detects_a_second_effect_when_the_reconcile_is_off(bench: Bench, monkeypatch):
    go_blind(monkeypatch.setattr)
    history = Trust()
    history.launch()
    history.run_on()
    history.kill(server_lives=True)
    history.answer(which=0, word="ok")
    with pytest.raises(AssertionError, match="happened twice"):
        history.teardown()
