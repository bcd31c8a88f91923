"""Events: each survives being stored and read unchanged, and unknown types and fields are refused."""

import json

import pytest

from jobs.engine import events as ev
from jobs.engine.results import Artifact, Source

PLACE = {"stage": "creative", "stage_name": "Generate Creatives", "stage_index": 4, "total_stages": 8}
CALL = {"stage": "creative", "step": "creative.image.a", "server": "image-gen", "tool": "generate_image"}
PICTURE = Artifact(
    name="creative-a.png",
    title="A",
    kind="image",
    source=Source.SIMULATED,
    width=300,
    height=250,
    remote_id="7",
)
EVERY = [
    ev.JobQueued(workflow="w", version=1, title="Aurora", stages=[["a", "A"]]),
    ev.JobResumed(epoch=2, reason="lost"),
    ev.JobCancelling(by="mara"),
    ev.StageStart(**PLACE),
    ev.StageProgress(**PLACE, current=1, total=4, detail="Square"),
    ev.StageComplete(**PLACE, status="partial", current=2, total=4, artifacts=(PICTURE,), data={"a_b": 1}),
    ev.StageError(**PLACE, status="failed", current=0, total=4, error="gone"),
    ev.CallWaiting(**CALL, in_use=2, limit=2),
    ev.CallStart(**CALL, attempt=1),
    ev.CallRetry(**CALL, attempt=1, delay=2.0, reason="429"),
    ev.CallComplete(**CALL, state="done", attempt=2, waited=0.5, took=1.5, remote_id="7", source="live"),
    ev.CallUnknown(**CALL, attempt=1, reason="timeout"),
    ev.CallFallback(**CALL, reason="refused"),
    ev.WorkflowComplete(status="partial", total_stages=8, artifacts=(PICTURE,)),
    ev.JobRetrying(by="mara", round=2, stages=["creative"], steps=["creative.image.a"], what="Creatives"),
    ev.JobResolved(by="mara", step="creative.image.a", outcome="exists", remote_id="7"),
    ev.JobServerDown(server="canva", reason="it does not answer"),
    ev.CallPlanned(**CALL, seconds=105.0, limit=2, per_minute=30),
    ev.JobExpected(seconds=285.5),
    ev.JobPlanned(calls=35, seconds=310.0, bound=286.0, servers={"canva": 8}),
    ev.JobActivating(by="mara", round=2, stage="live", stage_name="Set Live", digest="ab", what="5 lines"),
]


def test_every_type_of_event_is_covered_here():
    assert {event.type for event in EVERY} == set(ev.KINDS)


@pytest.mark.parametrize("event", EVERY, ids=lambda event: event.type)
def test_an_event_survives_a_round_trip_through_json(event):
    assert ev.event_from(event.type, json.loads(json.dumps(event.payload()))) == event


def test_names_are_in_camel_case_and_the_data_of_a_stage_is_unchanged():
    payload = EVERY[5].payload()
    assert (payload["stageName"], payload["totalStages"]) == ("Generate Creatives", 8)
    assert payload["data"] == {"a_b": 1}
    assert payload["artifacts"][0]["remoteId"] == "7"
    assert "url" not in payload["artifacts"][0]


@pytest.mark.parametrize(
    ("type", "payload", "words"),
    [
        ("stage:began", {}, "there is no event type stage:began"),
        ("job:cancelling", {"by": "mara", "why": "x"}, "job:cancelling: .*why"),
        ("job:cancelling", {}, "job:cancelling: .*by"),
    ],
)
def test_unknown_types_unknown_fields_and_missing_fields_are_refused(type, payload, words):
    with pytest.raises(ev.UnknownEvent, match=words):
        ev.event_from(type, payload)


def test_an_artifact_with_an_unknown_field_or_source_is_refused():
    payload = ev.artifact_payload(PICTURE)
    with pytest.raises(TypeError, match="color"):
        ev.artifact_from(payload | {"color": "red"})
    with pytest.raises(ValueError, match="guessed"):
        ev.artifact_from(payload | {"source": "guessed"})


def test_an_event_cannot_be_changed():
    with pytest.raises(AttributeError):
        EVERY[0].title = "other"


def test_the_public_types_are_the_five_that_the_first_clients_read():
    assert set(ev.PUBLIC) == {
        "stage:start",
        "stage:progress",
        "stage:complete",
        "stage:error",
        "workflow:complete",
    }
    assert set(ev.PUBLIC) <= set(ev.KINDS)
