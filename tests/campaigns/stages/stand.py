"""Run stages in a test: in-memory tools that keep the contract, a folder, and the recorded events."""

import asyncio
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from campaigns.brief.schema import Brief
from campaigns.roles import ROLES
from campaigns.workflow import LIFECYCLE
from jobs.engine import events as ev
from jobs.engine.context import Done, JobInfo
from jobs.engine.results import JobStatus, Source, StageResult, Status
from jobs.engine.runner import Before, Runner
from jobs.tools.contract.errors import ToolError, ToolFailed, Unknown
from jobs.tools.contract.reply import ImageContent, Reply
from jobs.tools.dry_run import made_up
from tests.campaigns.briefs import TODAY
from tests.fakes import listing

SIMULATED = ("ttd", "dv360", "amazon-dsp", "google-ads")
DONE = StageResult(status=Status.COMPLETED, made=1, total=1)
KINDS = {"string": str, "number": int | float, "integer": int, "array": list, "boolean": bool}


def png(width: int, height: int) -> bytes:
    """A plain picture."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (30, 90, 160)).save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Sent:
    """One call that arrived."""

    server: str
    tool: str
    args: Mapping[str, Any]
    stage: str
    step: str
    item: str


class Faults:
    """What is to go wrong: an error for every call of a tool, or for one of its steps."""

    def __init__(self) -> None:
        self.planned: list[tuple[str, str, Exception]] = []

    def add(self, tool: str, error: Exception, step: str = "") -> None:
        """Fail this tool with this error; only in steps that hold `step`, where it is given."""
        self.planned.append((tool, step, error))

    def meet(self, sent: Sent) -> None:
        """Raise what is planned for this call."""
        for tool, step, error in self.planned:
            if tool in (sent.tool, sent.server) and step in sent.step:
                raise error


class ToolBox:
    """Answers as the contract says, and refuses every argument that a tool does not declare."""

    def __init__(self) -> None:
        self.calls: list[Sent] = []
        self.faults = Faults()
        self.answers: dict[str, Callable[[Sent], Reply]] = {}
        self.inline_images = False
        self.live: tuple[str, ...] = ()

    def source(self, server: str) -> Source:
        if server in self.live:
            return Source.LIVE
        return Source.SIMULATED if server in SIMULATED else Source.LOCAL

    async def done(self, step: str) -> Done | None:
        return None

    def of(self, tool: str) -> list[Sent]:
        """The calls of one tool."""
        return [sent for sent in self.calls if sent.tool == tool]

    async def call(self, server, tool, args, *, stage, step, item):
        sent = Sent(server, tool, dict(args), stage, step, item)
        self.calls.append(sent)
        check_arguments(sent)
        await asyncio.sleep(0)
        self.faults.meet(sent)
        answer = self.answers.get(tool, self.answer)
        return answer(sent)

    def answer(self, sent: Sent) -> Reply:
        """What the tool says when all is well."""
        ident, source = f"{sent.step}-id", self.source(sent.server)
        url = f"https://{sent.server}.example/{ident}"
        if sent.tool == "writeSpreadsheet":
            return Reply(text="Wrote the cells", source=source)
        if sent.tool == "asana_list_workspaces":
            return Reply(data={"data": [{"gid": "77", "name": "Studio"}]}, source=source)
        if sent.server == "asana-v2":
            return Reply({"gid": ident, "permalink_url": url}, "", (), ident, url, source)
        if sent.tool == "generate_image":
            return self._image(sent, source)
        if sent.tool == "create_design":
            edit, view = f"{url}/edit", f"{url}/view"
            return Reply({"id": ident, "edit_url": edit, "view_url": view}, "", (), ident, edit, source)
        if sent.tool == "create_campaign":
            return Reply({"id": ident, "status": sent.args["status"]}, "", (), ident, "", source)
        url = url if sent.server == "google-docs" else ""
        return Reply({"id": ident, "url": url}, "", (), ident, url, source)

    def _image(self, sent: Sent, source: Source) -> Reply:
        picture = png(sent.args["width"], sent.args["height"])
        if self.inline_images:
            return Reply({}, "", (ImageContent(picture, "image/png"),), "", "", source)
        path = Path(sent.args["save_path"])
        path.write_bytes(picture)
        return Reply({"path": str(path)}, "", (), "", "", source)


class DryRunTools(ToolBox):
    """Tools of a dry run: every call is checked against the contract, and answered with a made-up id."""

    def source(self, server: str) -> Source:
        return Source.SIMULATED

    def answer(self, sent: Sent) -> Reply:
        """The reply with which the dry run of this step continues."""
        return made_up(sent.step, ROLES[sent.server].tools[sent.tool])


class Rounds(ToolBox):
    """Tools with a journal: what a step came to is given back in every later run, and nothing is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Done] = {}
        self.errors: dict[str, ToolError] = {}

    async def done(self, step: str) -> Done | None:
        return self.kept.get(step)

    async def call(self, server, tool, args, *, stage, step, item):
        if step in self.kept:
            assert self.kept[step].args == args, f"{step} is done, and now asked for with other arguments"
            return self.kept[step].reply
        if step in self.errors:
            raise self.errors[step]
        try:
            reply = await super().call(server, tool, args, stage=stage, step=step, item=item)
        except ToolError as error:
            # a reply that comes with a failure is not kept, nor are pictures
            self.errors[step] = ToolFailed(str(error)) if isinstance(error, ToolFailed) else error
            raise
        self.kept[step] = Done(dict(args), replace(reply, images=()))
        return reply

    def again(self) -> None:
        """Prepare the tools for a later round: what failed runs again, the rest is kept."""
        self.errors = {
            step: error
            for step, error in self.errors.items()
            if isinstance(error, Unknown) or str(error).startswith("skipped by")
        }
        self.faults = Faults()
        self.calls = []

    def resolve(self, step: str, *, remote_id: str = "", skipped_by: str = "") -> None:
        """Settle an unknown step as a person does: it exists, it was skipped, or else it is absent."""
        error = self.errors.pop(step)
        assert isinstance(error, Unknown)
        if skipped_by:
            self.errors[step] = ToolFailed(f"skipped by {skipped_by}")
        elif remote_id:
            sent = next(one for one in self.calls if one.step == step)
            source = self.source(sent.server)
            self.kept[step] = Done(sent.args, Reply({"id": remote_id}, "", (), remote_id, "", source))

    @property
    def steps(self) -> list[str]:
        """What was sent in this round, in order of the names."""
        return sorted(sent.step for sent in self.calls)


def check_arguments(sent: Sent) -> None:
    """Hold a call against the contract: arguments declared, of the right type, none missing, none empty."""
    tools = {tool["name"]: tool["inputSchema"] for tool in listing(sent.server)}
    schema = tools[sent.tool]
    undeclared = set(sent.args) - set(schema["properties"])
    assert not undeclared, f"{sent.step} sends {undeclared}, which {sent.tool} does not declare"
    assert set(schema["required"]) <= set(sent.args), f"{sent.step} lacks what {sent.tool} requires"
    for name, value in sent.args.items():
        kind = schema["properties"][name].get("type")
        assert kind is None or isinstance(value, KINDS[kind]), f"{sent.step}: {name} is no {kind}"
        assert value is not None and value != "", f"{sent.step} sends an empty {name}"
    # the gateway adds keys by policy; a stage that did would send a second one
    assert not {"reference", "external_id"} & set(sent.args)
    assert "fp-" not in json.dumps(sent.args).replace(sent.args.get("save_path", "\0"), "")


class Folder:
    """The job's folder in a temporary place."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def write(self, name: str, data: bytes | str) -> str:
        assert Path(name).name == name
        self.path(name).write_bytes(data.encode() if isinstance(data, str) else data)
        return name

    def path(self, name: str) -> Path:
        return self.where / name

    def read(self, name: str) -> str:
        return self.path(name).read_text(encoding="utf-8")


@dataclass
class Played:
    """A finished run."""

    status: JobStatus
    results: Mapping[str, StageResult]
    events: list[ev.Event] = field(repr=False)

    def progress(self, stage: str) -> list[tuple[int, int]]:
        """The counts told of a stage, in order."""
        told = [one for one in self.events if isinstance(one, ev.StageProgress) and one.stage == stage]
        return [(one.current, one.total) for one in told]

    def fallbacks(self) -> list[tuple[str, str]]:
        """The fallbacks told, as (step, reason)."""
        return [(one.step, one.reason) for one in self.events if isinstance(one, ev.CallFallback)]

    def artifact(self, name: str):
        """The one artifact of that name."""
        (one,) = [a for result in self.results.values() for a in result.artifacts if a.name == name]
        return one


def moment(seq: int) -> datetime:
    """When the log holds its event of this number."""
    return datetime(2027, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=seq)


async def play(
    *ids: str, brief: Brief, tools: Any, files: Folder, before: Before | None = None, **more: Any
) -> Played:
    """Run these stages of the lifecycle (all without any named); the others count as ended.

    `more` are fields of the job; with `confirmed` lines the stage that sets them live is one of its stages.
    With DryRunTools it is a dry run.
    """
    events: list[ev.Event] = []

    async def emit(event: ev.Event) -> datetime:
        # what cannot be stored would break the log
        stored = json.loads(json.dumps(event.payload()))
        assert ev.event_from(event.type, stored).type == event.type
        events.append(event)
        return moment(len(events))

    others = {stage.id: DONE for stage in LIFECYCLE.stages if ids and stage.id not in ids}
    live = [["live", "Set Lines Live", []]] if more.get("confirmed") else []
    runner = Runner(
        LIFECYCLE.by_plan([*([stage.id, stage.name] for stage in LIFECYCLE.stages), *live]),
        job=JobInfo(
            "0f0e0d0c-0000-4000-8000-000000000001",
            brief.title,
            date.fromisoformat(str(TODAY)),
            **{"dry_run": isinstance(tools, DryRunTools)} | more,
        ),
        brief=brief,
        tools=tools,
        files=files,
        emit=emit,
        before=before or Before(others),
    )
    async with asyncio.timeout(30):
        status = await runner.run()
    return Played(status, runner.results, events)
