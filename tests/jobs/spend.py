"""Jobs with prepared lines, and a small workflow that sets them live."""

from typing import Any

from django.contrib.auth.models import Permission

from jobs.engine import events as ev
from jobs.engine.context import StageContext
from jobs.engine.graph import Activation, Hop, Stage, Workflow
from jobs.engine.results import Artifact, Source, SpendLine, StageResult, Status
from jobs.models import Job
from jobs.store import feed
from jobs.tools.contract.policy import Role, ToolPolicy
from tests.jobs import acting, small, story

PLAN = [["lines", "Lines", []], ["note", "Note", ["lines"]]]
BUDGETS = {"north": ("100.50", "USD"), "south": ("200", "USD"), "east": ("70", "EUR")}


def spender(name: str = "sol", **values: Any) -> Any:
    """Return a user who has permission to spend and sees every job."""
    user = story.user(name, is_staff=True, **values)
    user.user_permissions.add(Permission.objects.get(codename="spend"))
    return type(user).objects.get(pk=user.pk)  # the object caches its permissions


def record(item: str, **values: str) -> dict[str, str]:
    """Return a line as the stage that creates it reports it."""
    budget, currency = BUDGETS[item]
    told = {"item": item, "id": f"c-{item}", "source": "simulated", "budget": budget, "currency": currency}
    return told | values


def lines_of(params: Any, data: Any) -> list[SpendLine]:
    """Return the lines of a job of the workflow SPEND."""
    return [
        SpendLine(
            item=one["item"],
            name=f"Line {one['item']}",
            server="ttd",
            remote_id=one["id"],
            budget=one["budget"],
            currency=one["currency"],
            start="2031-05-01",
            end="2031-05-31",
            timezone="Europe/Berlin",
            source=one["source"],
        )
        for one in data.get("lines", {}).get("lines", ())
        if one["id"]
    ]


async def create(ctx: StageContext) -> StageResult:
    """Create the lines concurrently."""

    async def line(item: str) -> dict[str, str]:
        reply = await ctx.call("ttd", "create_campaign", {"name": item, "budget": 10}, step="line", item=item)
        return record(item, id=reply.remote_id)

    outcomes = await ctx.items(small.LINES, line, name=str)
    made = [outcome.value for outcome in outcomes if outcome.made]
    status = Status.COMPLETED if len(made) == len(outcomes) else Status.PARTIAL
    return StageResult(status=status, made=len(made), total=len(outcomes), data={"lines": made})


async def set_live(ctx: StageContext) -> StageResult:
    """Set the confirmed lines live concurrently."""

    async def line(one: SpendLine) -> str:
        args = {"id": one.remote_id, "status": "ACTIVE"}
        await ctx.call(one.server, "set_campaign_status", args, step="status", item=one.item)
        return one.item

    outcomes = await ctx.items(ctx.job.confirmed, line, name=lambda one: one.item)
    live = [outcome.value for outcome in outcomes if outcome.made]
    missed = [outcome.error for outcome in outcomes if not outcome.made]
    status = Status.PARTIAL if missed else Status.COMPLETED
    artifact = Artifact(name="note.md", title="Who set what live", kind="activation", source=Source.LOCAL)
    return StageResult(
        status=status if live else Status.FAILED,
        made=len(live),
        total=len(outcomes),
        artifacts=(artifact,),
        data={"live": live},
        error="; ".join(missed),
    )


async def note(ctx: StageContext) -> StageResult:
    """Write a short file."""
    return StageResult(status=Status.COMPLETED, made=1, total=1)


SPEND = Workflow(
    "spend",
    "Spend",
    (
        Stage("lines", "Lines", create, path=(Hop("ttd", "create_campaign", 1),)),
        Stage("note", "Note", note, needs=("lines",)),
    ),
    parse=small.parse,
    load=lambda params: params,
    activation=Activation(
        Stage("live", "Set Lines Live", set_live, path=(Hop("ttd", "set_campaign_status", 1),)),
        lines_of,
        stays=lambda params, data: ["The search campaign stays paused."],
        live=lambda data: data.get("status") in (None, "ACTIVE"),
    ),
)
TOOLS = {**small.ROLES["ttd"].tools, "set_campaign_status": ToolPolicy(money=True, idempotent=True)}
ROLES = {"ttd": Role("ttd", concurrency=2, timeout=5, tools=TOOLS)}


def place(stage: str, total: int = 2) -> dict[str, Any]:
    """Return a stage's position."""
    index = ["lines", "note", "live"].index(stage)
    name = ["Lines", "Note", "Set Lines Live"][index]
    return {"stage": stage, "stage_name": name, "stage_index": index, "total_stages": total}


def end(stage: str, status: str = "completed", **data: Any) -> ev.StageEnd:
    """Return the end of a stage."""
    kind = ev.StageError if status == "failed" else ev.StageComplete
    return kind(**place(stage), status=status, current=1, total=1, data=data)


def prepared(*items: str, status: str = "completed", **values: Any) -> Job:
    """Return an ended job with these lines, by default all three."""
    job = story.job(**({"workflow": "spend", "plan": PLAN} | values))
    lines = [record(item) for item in items or small.LINES]
    feed.append(job.pk, [ev.StageStart(**place("lines")), end("lines", lines=lines), end("note")])
    feed.append(job.pk, [ev.WorkflowComplete(status=status, total_stages=2)])
    job.refresh_from_db()
    return job


def called(job: Job, item: str, state: str, **values: Any) -> Any:
    """Return the call that was to set a line live, in its current state."""
    args = {"id": f"c-{item}", "status": "ACTIVE"}
    named = {"server": "ttd", "tool": "set_campaign_status", "item": item, "args": args}
    return acting.call(job, f"live.status.{item}", state, **named, **values)


def over(job: Job, *live: str, status: str = "completed") -> None:
    """End the round that sets lines live; these are live now."""
    feed.append(job.pk, [end("live", "completed" if status == "completed" else "partial", live=list(live))])
    feed.append(job.pk, [ev.WorkflowComplete(status=status, total_stages=3)])
    job.refresh_from_db()
