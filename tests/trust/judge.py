"""The outcome of a run: its job, its calls and the servers' ledgers, compared with a clean run."""

import collections
import json
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.roles import ROLES
from tests import fakes

META = "flightplan/idempotency-key"
MONEY = ("ttd", "dv360", "amazon-dsp", "google-ads")
ENDED = ("completed", "partial", "failed", "cancelled")
MARKER = re.compile(r"\s*\(?(ref )?fp-[0-9a-f]{12}\)?")


@dataclass(frozen=True)
class Effect:
    """Something that happened on a server. Effects with the same `thing` are the same to a person."""

    role: str
    tool: str
    key: str
    thing: str


@dataclass
class Story:
    """The state after a run: its job, its calls by key, the effects on servers, and living processes."""

    status: str
    calls: dict[str, dict]
    effects: list[Effect]
    sent: list[
        tuple[str, str, str, str]
    ]  # role, tool, key, thing of every call that the servers got, in order
    gaps: bool = False
    left: dict[int, str] = field(default_factory=dict)


@dataclass
class Verdict:
    """The faults of one run, as text; with empty lists the guarantee holds."""

    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    money: int = 0
    false: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    person: bool = False
    injected: bool = True

    @property
    def faults(self) -> list[str]:
        """Return all faults in one list."""
        lists = {"lost": self.lost, "twice": self.duplicates, "false": self.false, "left": self.left}
        return [f"{name}: {one}" for name, found in lists.items() for one in found]


def effects(world: Path) -> list[Effect]:
    """Return every effect of a world, in the order of each ledger."""
    return [
        Effect(role, one["tool"], one["meta"].get(META, ""), thing(one["args"]))
        for role in fakes.CONTRACT
        for one in fakes.ledger(world / f"{role}.ledger", "effect")
    ]


def thing(args: dict) -> str:
    """Return what a call is about, without keys, markers and the ids of its folder or parent."""
    kept = ("name", "title", "text", "prompt", "headlines", "match_type", "range", "budget", "save_path")
    about = {name: args[name] for name in kept if name in args}
    if "save_path" in about:
        about["save_path"] = Path(about["save_path"]).name
    return MARKER.sub("", json.dumps(about, sort_keys=True))


def read(data: Path, world: Path) -> Story:
    """Read the state after a run. Raises sqlite3.Error if its database cannot be read."""
    with sqlite3.connect(f"file:{data / 'flightplan.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
        database.row_factory = sqlite3.Row
        status = database.execute("SELECT status FROM jobs_job").fetchone()["status"]
        calls = {row["key"]: dict(row) for row in database.execute("SELECT * FROM jobs_toolcall")}
        seqs = [row["seq"] for row in database.execute("SELECT seq FROM jobs_workflowevent ORDER BY seq")]
    database.close()
    sent = [
        (role, one["tool"], one["meta"].get(META, ""), thing(one["args"]))
        for role in fakes.CONTRACT
        for one in fakes.ledger(world / f"{role}.ledger", "start")
    ]
    return Story(status, calls, effects(world), sent, seqs != list(range(1, len(seqs) + 1)))


def repeatable(effect: Effect) -> bool:
    """Return whether the tool's policy says that a repeat has the same effect, as with writing cells."""
    return ROLES[effect.role].tools[effect.tool].repeatable


def judge(story: Story, clean: Story) -> Verdict:
    """Compare a run with a clean run of the same installation, which has the same keys."""
    verdict = Verdict()
    if story.status not in ENDED:
        verdict.lost.append(f"the job is still {story.status}")
    if story.gaps:
        verdict.lost.append("the log has gaps")
    _duplicates(verdict, story, clean)
    _falsehoods(verdict, story, clean)
    verdict.left = list(story.left.values())
    states = {call["state"] for call in story.calls.values()}
    verdict.person = story.status != "completed" or "unknown" in states
    return verdict


def _duplicates(verdict: Verdict, story: Story, clean: Story) -> None:
    made = [effect for effect in story.effects if not repeatable(effect)]
    wanted = collections.Counter((one.role, one.tool, one.thing) for one in clean.effects)
    by_key = collections.Counter((one.role, one.tool, one.key) for one in made)
    by_thing = collections.Counter((one.role, one.tool, one.thing) for one in made)
    keyed = {(role, tool) for (role, tool, _), count in by_key.items() if count > 1}
    found = [(one, count - 1) for one, count in by_key.items() if count > 1]
    # the same thing under another key counts unless it was already counted by key
    found += [
        (one, count - max(1, wanted[one]))
        for one, count in by_thing.items()
        if count > max(1, wanted[one]) and one[:2] not in keyed
    ]
    verdict.duplicates = [f"{role} {tool} {what} (+{more})" for (role, tool, what), more in found]
    verdict.money = sum(more for (role, *_), more in found if role in MONEY)


def _falsehoods(verdict: Verdict, story: Story, clean: Story) -> None:
    """Record calls reported as done without an effect, and jobs reported as completed that are not."""
    there = {one.key for one in story.effects}
    for one in clean.effects:
        call = story.calls.get(one.key, {"step": one.thing, "state": "missing"})
        said = call["state"] == "done" or story.status == "completed"
        if said and one.key not in there:
            verdict.false.append(f"{call['step']} is {call['state']}, the job {story.status}, nothing exists")
    for call in story.calls.values():
        if call["state"] in ("sent", "unknown", "waiting", "retry") and story.status == "completed":
            verdict.false.append(f"{call['step']} is {call['state']} in a completed job")
        if call["state"] == "sent" and story.status in ENDED:
            verdict.false.append(f"{call['step']} is sent in a job that has ended")
        if call["state"] in ("failed", "waiting", "skipped") and call["key"] in there:
            verdict.false.append(f"{call['step']} is {call['state']}, but it exists")
