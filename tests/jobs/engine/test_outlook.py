"""What running jobs still have to do: their remaining calls and the seconds left."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.graph import Hop
from jobs.engine.outlook import Outlook, seconds_left
from jobs.engine.play import Limits
from tests.jobs.engine.flows import flow, stage


def four(brief: object) -> int:
    return 4


FLOW = flow(
    stage("creative", path=(Hop("image-gen", "generate", 100, four), Hop("canva", "upload", 20, four))),
    stage("project", path=(Hop("asana", "project", 10), Hop("asana", "task", 5, four))),
    stage("report", "creative", "project", path=(Hop("docs", "create", 30),)),
)
LIMITS = {"image-gen": Limits(2), "canva": Limits(2), "asana": Limits(2), "docs": Limits(3)}


class Job:
    """An outlook, and when its steps were sent."""

    def __init__(self, order: float = 1.0) -> None:
        self.sent: dict[str, float] = {}
        self.outlook = Outlook(FLOW, None, order=order, sent_at=self.sent.get)

    def asked(self, step: str, tool: str = "generate", server: str = "image-gen", size: str = "") -> None:
        self.outlook.asked(
            step, "creative" if server in ("image-gen", "canva") else "project", server, tool, size
        )

    def left(self, now: float = 0.0, learned=None) -> float:
        [seconds] = seconds_left([self.outlook], LIMITS, now, learned)
        return seconds


def test_a_new_job_takes_its_longest_path_within_the_permits():
    # two images after two others, the last upload, the report
    assert Job().left() == 200 + 20 + 30


def test_finished_calls_are_not_counted_as_remaining():
    job = Job()
    for step in ("a", "b"):
        job.asked(step)
        job.outlook.call_ended(step)
    assert job.left() == 100 + 20 + 30


def test_time_already_spent_on_a_call_is_subtracted():
    job = Job()
    for step in "abcd":
        job.asked(step)
    job.sent |= {"a": 0.0, "b": 0.0}
    assert job.left(now=60) == 40 + 100 + 20 + 30


def test_an_overdue_call_has_a_little_time_left_and_never_less_than_zero():
    job = Job()
    for step in "abcd":
        job.asked(step)
    for step in "abc":
        job.outlook.call_ended(step)
    job.sent["d"] = 0.0
    # the three finished images are uploaded at once, the fourth after it is made
    assert job.left(now=1000) == 20 + 20 + 30
    assert job.left(now=0) == 100 + 20 + 30


def test_an_ended_stage_has_no_remaining_calls():
    job = Job()
    job.outlook.stage_ended("creative")
    assert job.left() == 10 + 5 + 5 + 30
    job.outlook.stage_ended("project")
    job.outlook.stage_ended("report")
    assert job.left() == 0


def test_learned_durations_apply_by_size_once_a_call_was_requested():
    seconds = {"": 10.0, "large": 50.0}

    def learned(server: str, tool: str, size: str) -> float | None:
        return seconds.get(size) if tool == "generate" else None

    job = Job()
    # uploads take longer now: four of them on two permits, from the first image on
    assert job.left(learned=learned) == 10 + 20 + 20 + 30
    job.asked("a", size="large")
    # 50 on one permit, the three small ones on the other; two uploads side by side
    assert job.left(learned=learned) == 50 + 20 + 30


def test_calls_beyond_the_expected_count_are_included():
    job = Job()
    for step in "abcdef":
        job.asked(step)
    assert job.left() == 300 + 20 + 30


def test_a_younger_job_waits_for_an_older_one():
    older, younger = Job(1), Job(2)
    assert seconds_left([younger.outlook, older.outlook], LIMITS, 0.0) == [400 + 20 + 30, 200 + 20 + 30]


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("efgh")))
def test_the_time_left_decreases_as_calls_finish(images: set[str], uploads: set[str]):
    job, before = Job(), float("inf")
    for tool, server, steps in (("generate", "image-gen", images), ("upload", "canva", uploads)):
        for step in sorted(steps):
            job.asked(step, tool, server)
            job.outlook.call_ended(step)
            assert 30 <= job.left() <= before
            before = job.left()
