"""Reading events from the API: once, in order, and tolerant of other versions."""

import json

import pytest

from jobs.cli.reading import Reading

MOMENT = "2026-05-04T12:00:00.000Z"
QUEUED = {
    "type": "job:queued",
    "workflow": "w",
    "version": 1,
    "title": "Aurora",
    "stages": [["brief", "Brief"]],
    "dryRun": False,
}
PLACE = {"stage": "brief", "stageName": "Brief", "stageIndex": 0, "totalStages": 1}


@pytest.fixture
def heard():
    return []


@pytest.fixture
def reading(heard):
    return Reading(lambda url: "https://far" + url if url[0] == "/" else url, heard.append)


def take(reading, id, payload):
    data = payload if isinstance(payload, str) else json.dumps({"timestamp": MOMENT, "seq": id} | payload)
    return reading.take(str(id), data)


def test_an_event_is_returned_once(reading):
    assert take(reading, 1, QUEUED).recorded.event.title == "Aurora"
    assert take(reading, 1, QUEUED) is None
    assert reading.cursor == 1


@pytest.mark.parametrize("id", ["", "x", "-3", "١"])
def test_an_id_that_is_not_a_number_is_skipped(reading, id):
    assert reading.take(id, "{}") is None
    assert reading.cursor == 0


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "job:sparkling", "color": "blue"},
        {"type": "stage:start"},
        {"type": "stage:start", **PLACE, "stage": "of-tomorrow"},
        {"type": "stage:progress", **PLACE, "current": "many", "total": 3},
        {"type": "workflow:complete", "status": "glorious", "totalStages": 1},
        {"type": "stage:start", **PLACE, "timestamp": "yesterday"},
        {"type": "stage:start", **PLACE, "timestamp": "2026-05-04T12:00:00"},
        {
            "type": "stage:complete",
            **PLACE,
            "status": "completed",
            "current": 1,
            "total": 1,
            "artifacts": [7],
        },
        {"type": ["stage:start"]},
        {},
        "[]",
        "7",
    ],
)
def test_unknown_events_are_passed_on_as_lines_and_reported_once(reading, heard, payload):
    take(reading, 1, QUEUED)
    strange = take(reading, 2, payload)
    assert strange.recorded is None and json.loads(strange.line) is not None
    take(reading, 3, payload)
    assert len(heard) == 1 and "this version does not recognize" in heard[0]
    assert take(reading, 4, {"type": "stage:start", **PLACE}).recorded.seq == 4


def test_an_unknown_field_of_a_known_event_is_dropped(reading, heard):
    one = take(reading, 1, QUEUED | {"mood": "fine"})
    assert one.recorded.event.workflow == "w" and '"mood"' in one.line
    assert heard == []


def test_data_that_is_not_json_is_skipped_and_reported(reading, heard):
    assert take(reading, 1, "{half") is None
    assert reading.cursor == 1 and "event 1 is not JSON" in heard[0]


def test_links_of_artifacts_open_from_anywhere(reading):
    take(reading, 1, QUEUED)
    near = {"name": "a", "title": "A", "kind": "x", "source": "local", "url": "/jobs/1/a", "fileUrl": "/f"}
    far = near | {"name": "b", "url": "https://docs/b", "later": 1}
    bare = {"name": "c", "title": "C", "kind": "x", "source": "local"}
    end = {"type": "stage:complete", **PLACE, "status": "completed", "current": 3, "total": 3}
    made = take(reading, 2, end | {"artifacts": [near, far, bare]}).recorded.event.artifacts
    assert [one.url for one in made] == ["https://far/jobs/1/a", "https://docs/b", ""]


def test_a_line_is_one_line_of_ascii(reading):
    text = json.dumps(QUEUED | {"timestamp": MOMENT, "title": "Äther\x9b2J"}, ensure_ascii=False, indent=1)
    line = reading.take("1", text).line
    assert line.isascii() and "\n" not in line and json.loads(line)["title"] == "Äther\x9b2J"
