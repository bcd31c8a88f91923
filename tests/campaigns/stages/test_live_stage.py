"""Set Lines Live: exactly the confirmed lines, by their ids; pages say what is live and what is not."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from campaigns.documents.lines import spend_lines, stays_paused
from campaigns.workflow import LIFECYCLE
from jobs.engine.results import JobStatus, Source, Status
from jobs.engine.runner import Before
from jobs.tools.contract.errors import ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from tests.campaigns.stages.stand import DONE, Rounds, play

AT = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


def params(brief) -> dict:
    """Return the parameters of the launch."""
    return {"brief": brief.model_dump(mode="json")}


async def created(brief, tools, files):
    """Create the lines, and give what can be set live and the data of the stage."""
    played = await play("activate", brief=brief, tools=tools, files=files)
    data = json.loads(json.dumps({"activate": played.results["activate"].data}))
    return spend_lines(params(brief), data), played


async def set_live(brief, tools, files, lines, before=None):
    """Run the stage alone, as an activation's round does."""
    return await play(
        brief=brief,
        tools=tools,
        files=files,
        before=before or Before({stage.id: DONE for stage in LIFECYCLE.stages}),
        round=2,
        confirmed=tuple(lines),
        confirmed_by="sol",
        confirmed_at=AT,
    )


async def test_what_can_be_set_live_is_every_created_line_with_its_budget_and_flight(brief, tools, files):
    lines, _ = await created(brief, tools, files)
    assert [line.item for line in lines] == [line.slug for line in brief.media_plan]
    for line, told in zip(brief.media_plan, lines, strict=True):
        assert (told.name, told.remote_id) == (line.label, f"activate.line.{line.slug}-id")
        assert (float(told.budget), told.currency) == (float(line.budget), brief.currency)
        assert (told.start, told.end) == (str(brief.flight_start), str(brief.flight_end))
        assert (told.timezone, told.source) == (brief.timezone, "simulated")


async def test_lines_that_were_not_created_are_not_offered_and_are_named(aurora, tools, files):
    tools.faults.add("dv360", ToolFailed("no advertiser"))
    tools.faults.add("amazon-dsp", Unknown("the answer was lost"))
    lines, played = await created(aurora, tools, files)
    assert {line.server for line in lines} == {"ttd"}
    search = {"campaign": {"name": "Brand", "id": "s-1", "status": "PAUSED"}}
    told = stays_paused(params(aurora), {"activate": played.results["activate"].data, "search": search})
    assert sum("is not created, so it is not set live" in one for one in told) == 1
    assert sum("is unknown, so it is not set live" in one for one in told) == 1
    assert "Brand (s-1) stays paused" in told[-1]
    assert "set it live in Google Ads" in told[-1]
    search["campaign"]["source"] = "simulated"
    told = stays_paused(params(aurora), {"activate": played.results["activate"].data, "search": search})
    assert "Brand (s-1) is simulated: it does not exist in Google Ads" in told[-1]


async def test_a_line_that_its_dsp_did_not_create_paused_is_named(aurora, tools, files):
    tools.answers["create_campaign"] = lambda sent: Reply(
        {"id": f"{sent.step}-id", "status": "active"}, "", (), f"{sent.step}-id", "", Source.SIMULATED
    )
    lines, played = await created(aurora, tools, files)
    data = {"activate": played.results["activate"].data}
    told = stays_paused(params(aurora), data)
    assert sum("is ACTIVE already according to its DSP" in one for one in told) == len(lines)
    set_since = {"live": {"live": [line.item for line in lines]}}
    assert not any("own word" in one for one in stays_paused(params(aurora), data | set_since))


async def test_exactly_the_confirmed_lines_are_set_live_by_their_ids(brief, tools, files):
    lines, _ = await created(brief, tools, files)
    played = await set_live(brief, tools, files, lines[:-1])
    sent = tools.of("set_campaign_status")
    assert sorted((one.server, one.args["id"]) for one in sent) == sorted(
        (line.server, line.remote_id) for line in lines[:-1]
    )
    assert {one.args["status"] for one in sent} == {"ACTIVE"}
    assert {one.step for one in sent} == {f"live.status.{line.item}" for line in lines[:-1]}
    result = played.results["live"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, len(lines) - 1, len(lines) - 1)
    assert set(result.data["live"]) == {line.item for line in lines[:-1]}
    assert "This line was set live. It is simulated" in files.read(f"line-{lines[0].item}.md")
    assert "Nothing is spent until" in files.read(f"line-{lines[-1].item}.md")


async def test_the_record_says_who_when_which_and_how_much(aurora, tools, files):
    lines, _ = await created(aurora, tools, files)
    played = await set_live(aurora, tools, files, lines)
    text = files.read("activation.md").replace("\\", "")
    for words in ("sol", "2027-03-01 09:30:00 UTC", f"{len(lines)} of {len(lines)}", "$750,000 USD"):
        assert words in text
    for line in lines:
        assert line.remote_id in text
        assert played.artifact(f"line-{line.item}.md").note == "ACTIVE"
    assert "spend no money" in text
    assert "Flightplan cannot change its status" in text
    assert played.artifact("activation.md").source is Source.LOCAL


async def test_one_line_that_is_refused_makes_the_stage_partial_and_says_why(aurora, tools, files):
    lines, _ = await created(aurora, tools, files)
    tools.faults.add("dv360", ToolFailed("An archived campaign cannot be changed"))
    played = await set_live(aurora, tools, files, lines)
    result = played.results["live"]
    assert (played.status, result.status, result.made) == (JobStatus.PARTIAL, Status.PARTIAL, 4)
    assert "An archived campaign cannot be changed" in result.error
    (line,) = [line for line in lines if line.server == "dv360"]
    assert line.item not in result.data["live"]
    assert f"line-{line.item}.md" not in {one.name for one in result.artifacts}
    assert "not live" in files.read("activation.md")


async def test_a_line_that_may_be_live_is_reported_as_unknown(aurora, tools, files):
    lines, _ = await created(aurora, tools, files)
    tools.faults.add("dv360", Unknown("the answer was lost"))
    played = await set_live(aurora, tools, files, lines)
    assert played.results["live"].data["unknown"]
    text = files.read("activation.md")
    assert "| unknown: it may be live |" in text
    assert "| not live |" not in text
    assert "## Not live, or unknown" in text


async def test_a_line_of_which_its_dsp_says_that_it_is_paused_is_not_called_live(aurora, tools, files):
    lines, _ = await created(aurora, tools, files)
    tools.answers["set_campaign_status"] = lambda sent: Reply(
        {"id": sent.args["id"], "status": "paused"}, "", (), sent.args["id"], "", Source.LIVE
    )
    result = (await set_live(aurora, tools, files, lines)).results["live"]
    assert (result.status, result.made, result.data["live"]) == (Status.FAILED, 0, [])
    assert "answered that the line is PAUSED" in result.error


async def test_a_simulated_line_is_never_sent_to_a_live_server_nor_a_live_one_to_a_simulation(
    aurora, tools, files
):
    lines, _ = await created(aurora, tools, files)
    tools.live = ("ttd",)  # somebody has configured the real one since
    lines = [replace(line, source="live") if line.server == "dv360" else line for line in lines]
    result = (await set_live(aurora, tools, files, lines)).results["live"]
    assert {sent.server for sent in tools.of("set_campaign_status")} == {"amazon-dsp"}
    assert {one["why"] for one in result.data["missed"]} == {
        "the line is simulated, but ttd is now live: nothing was sent",
        "the line is live, but dv360 is now simulated: nothing was sent",
    }
    assert set(result.data["live"]) == {line.item for line in lines if line.server == "amazon-dsp"}


async def test_a_live_line_stays_live_when_its_dsp_has_another_server(aurora, files):
    tools = Rounds()
    lines, _ = await created(aurora, tools, files)
    await set_live(aurora, tools, files, lines)
    tools.live = ("ttd",)
    result = (await set_live(aurora, tools, files, lines)).results["live"]
    assert (result.status, result.made) == (Status.COMPLETED, len(lines))


async def test_a_later_round_of_the_lines_and_the_report_call_a_live_line_live(aurora, files):
    tools = Rounds()
    lines, first = await created(aurora, tools, files)
    await set_live(aurora, tools, files, lines)
    again, played = await created(aurora, tools, files)
    assert again == [replace(line) for line in lines]
    assert {one["status"] for one in played.results["activate"].data["lines"]} == {"ACTIVE"}
    assert {one.note for one in played.results["activate"].artifacts} == {"ACTIVE"}
    assert "was set live" in files.read(f"line-{lines[0].item}.md")
    others = {stage.id: DONE for stage in LIFECYCLE.stages if stage.id != "report"}
    old = Before(others | {"activate": first.results["activate"]})
    await play(brief=aurora, tools=tools, files=files, before=old, round=3)
    report = files.read("report.md")
    assert "ACTIVE" in report
    assert "PAUSED" not in report
    assert "Check the paused lines" not in report
