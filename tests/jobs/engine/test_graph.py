"""Workflows as data: validation, selected stages, and remaining time."""

import pytest

from jobs.engine.graph import BrokenWorkflow, Hop, Stage
from jobs.engine.inputs import Fault, InvalidInput
from tests.jobs.engine.flows import Story, done, flow, stage

IMAGE, UPLOAD = Hop("image-gen", "generate_image", 100), Hop("canva", "upload_asset", 20)
REPORT = Hop("google-docs", "createDocument", 30)


def lifecycle():
    """Return a creative stage of two hops, a short stage, and a report after both."""
    return flow(
        stage("creative", path=(IMAGE, UPLOAD)),
        stage("landing"),
        stage("report", "creative", "landing", path=(REPORT,)),
    )


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([stage("a", "b")], "stage a needs b, which is not a stage"),
        ([stage("a"), stage("a")], "stage a is listed twice"),
        ([stage("a", "a")], "form a cycle: a -> a"),
        ([stage("a", "c"), stage("b", "a"), stage("c", "b")], "form a cycle: "),
    ],
)
def test_an_inconsistent_workflow_is_refused_when_it_is_built(stages, words):
    with pytest.raises(BrokenWorkflow, match=words):
        flow(*stages)


def test_no_stage_needs_a_stage_that_is_left_out():
    chosen = lifecycle().select(("creative", "report"))
    assert [(one.id, one.needs) for one in chosen.stages] == [("creative", ()), ("report", ("creative",))]


def test_the_parameters_select_the_stages():
    asked = flow(stage("a"), Stage("b", "B", done, wanted=lambda params: params["b"]))
    assert [one.id for one in asked.wanted({"b": False}).stages] == ["a"]
    assert [one.id for one in asked.wanted({"b": True}).stages] == ["a", "b"]


def test_remaining_time_is_measured_from_a_call_to_the_end_of_the_longest_chain():
    whole = lifecycle()
    assert whole.remaining("creative", "image-gen", "generate_image") == 150
    assert whole.remaining("creative", "canva", "upload_asset") == 50
    assert whole.remaining("report", "google-docs", "createDocument") == 30
    # a call that no path names comes after calls with more time left, but not after all others
    assert whole.remaining("landing", "google-docs", "createFolder") == 30


def test_measured_durations_replace_declared_durations():
    seconds = {("image-gen", "generate_image", ""): 10.0, ("image-gen", "generate_image", "300x250"): 7.0}

    def learned(*kind: str) -> float | None:
        return seconds.get(kind)

    image = ("creative", "image-gen", "generate_image")
    assert lifecycle().remaining(*image, learned) == 10 + 20 + 30
    assert lifecycle().remaining(*image, learned, "300x250") == 7 + 20 + 30


def test_measured_durations_of_a_later_stage_count_for_earlier_stages():
    def learned(server: str, tool: str, size: str) -> float | None:
        return 3.0 if tool == "createDocument" else None

    assert lifecycle().remaining("creative", "canva", "upload_asset", learned) == 20 + 3


def test_the_longest_of_several_chains_counts():
    whole = flow(
        stage("start"),
        stage("short", "start", path=(Hop("s", "t", 5),)),
        stage("long", "start", path=(Hop("s", "t", 50),)),
        stage("end", "short", "long", path=(Hop("s", "t", 1),)),
    )
    assert [whole.after(id) for id in ("start", "short", "long", "end")] == [51, 1, 1, 0]


def test_bad_input_lists_every_fault_with_its_field():
    error = InvalidInput([Fault("budget", "is required"), Fault("", "is too large")])
    assert str(error) == "budget: is required; : is too large"
    assert len(error.faults) == 2


def test_a_job_finishes_by_the_plan_that_it_recorded():
    plan = [["creative", "Make Creatives", []], ["report", "Report", ["creative", "review"]]]
    chosen = lifecycle().by_plan(plan)
    assert [(one.id, one.name, one.needs) for one in chosen.stages] == [
        ("creative", "Make Creatives", ()),
        ("report", "Report", ("creative",)),
    ]
    assert chosen.remaining("creative", "image-gen", "generate_image") == 150


def test_a_plan_without_needs_uses_the_current_needs():
    chosen = lifecycle().by_plan([["report", "R"], ["landing", "L"]])
    assert [(one.id, one.needs) for one in chosen.stages] == [("report", ("landing",)), ("landing", ())]


async def test_a_stage_that_no_longer_exists_fails_with_a_reason_and_the_others_run():
    today = flow(stage("added"), stage("report", "added"))
    plan = [["gone", "Old Stage", []], ["report", "Old Report", ["gone"]]]
    story = Story(*today.by_plan(plan).stages)
    assert await story.runner.run() == "partial"
    assert story.event_types("stage:start") == [("stage:start", "gone"), ("stage:start", "report")]
    ended = next(event for event in story.events if event.type == "stage:error")
    assert (ended.stage_name, ended.error) == (
        "Old Stage",
        "this version of Flightplan no longer has a stage gone; it cannot be run",
    )
