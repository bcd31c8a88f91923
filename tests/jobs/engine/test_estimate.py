"""How long planned calls would take, given the needs of stages, permits, rates and ids from other calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.estimate import DEFAULT_SECONDS, PlannedCall, estimate, expected, waits
from jobs.engine.graph import Hop
from jobs.engine.play import Limits
from tests.jobs.engine.flows import flow, stage

FLOW = flow(
    stage("a", path=(Hop("docs", "create", 30), Hop("docs", "fill", 15))),
    stage("b", path=(Hop("ads", "create", 1),)),
    stage("empty", "a"),
    stage("c", "empty", "b", path=(Hop("docs", "create", 20),)),
)


def planned(step: str, seconds: float = 10, server: str = "docs", **more) -> PlannedCall:
    """Return a planned call of the stage that its step begins with."""
    return PlannedCall(step.split(".")[0], step, server, more.pop("tool", "create"), seconds, **more)


def took(*calls: PlannedCall, **limits: int | Limits) -> tuple[float, float]:
    """Return the seconds and the bound of these calls; a number as a limit means concurrent calls."""
    known = {name: one if isinstance(one, Limits) else Limits(one) for name, one in limits.items()}
    found = estimate(FLOW, calls, known)
    return found.seconds, found.bound


def test_a_plan_without_calls_takes_no_time():
    assert took() == (0, 0)


def test_calls_of_different_items_run_concurrently_within_the_permits():
    calls = [planned(f"a.{n}", item=str(n)) for n in range(5)]
    assert took(*calls, docs=2) == (30, 30)
    assert took(*calls, docs=5) == (10, 10)


def test_a_server_without_known_limits_takes_one_call_at_a_time():
    assert took(planned("a.1", item="1"), planned("a.2", item="2")) == (20, 20)


def test_calls_of_one_item_follow_one_another():
    assert took(planned("a.image", item="x"), planned("a.upload", item="x"), docs=5) == (20, 20)


def test_a_call_waits_for_the_calls_that_it_takes_ids_from_in_any_stage():
    folder = planned("a.folder", 5)
    sheet = planned("b.sheet", 3, after=("a.folder", "a.never-planned"))
    assert took(folder, sheet, docs=5) == (8, 8)


def test_a_stage_waits_for_indirect_needs_through_a_stage_without_calls():
    report = planned("c.report", 4)
    assert took(report, planned("a.1", 7), planned("b.1", 2, "ads"), docs=5) == (11, 11)


def test_the_dependencies_of_each_call_are_available():
    calls = [
        planned("c.1"),
        planned("a.1", item="x"),
        planned("a.2", item="x"),
        planned("b.1", after=("a.1",)),
    ]
    assert waits(FLOW, calls) == {
        "a.1": set(),
        "a.2": {"a.1"},
        "b.1": {"a.1"},
        "c.1": {"a.1", "a.2", "b.1"},
    }


def test_the_call_with_the_longest_remaining_path_goes_first():
    fill = planned("a.fill", 15, tool="fill", item="x")
    long = planned("a.create", 30, item="y")
    after = planned("b.after", 5, "ads", after=("a.create",))
    # with the short one first the long one, and what waits for it, would end five seconds later
    assert took(fill, long, after, docs=1) == (45, 45)


def test_a_rate_delays_calls_until_a_minute_after_earlier_calls_ended():
    calls = [planned(f"a.{n}", 1, item=str(n)) for n in range(3)]
    assert took(*calls, docs=Limits(3, per_minute=2)) == (62, 1)


def test_the_rate_of_one_tool_does_not_delay_others():
    calls = [planned(f"a.{n}", 1, item=str(n)) for n in range(3)]
    other = planned("b.other", 1, tool="fill", item="other")
    assert took(*calls, docs=Limits(4, per_minute={"create": 1})) == (123, 1)
    assert took(calls[0], other, docs=Limits(4, per_minute={"create": 1})) == (1, 1)


def test_expected_seconds_come_from_the_stages_own_path_before_other_stages():
    assert expected(FLOW, "c", "docs", "create") == 20
    assert expected(FLOW, "b", "docs", "fill") == 15
    assert expected(FLOW, "a", "docs", "read") == DEFAULT_SECONDS


SERVERS = ("docs", "ads", "images")
STAGES = tuple(one.id for one in FLOW.stages)
TIMES = st.integers(0, 100)


@st.composite
def plans(draw, servers: tuple[str, ...] = SERVERS) -> list[PlannedCall]:
    """Generate calls that each need ids from some of the earlier calls."""
    calls: list[PlannedCall] = []
    for number in range(draw(st.integers(0, 14))):
        place = draw(st.sampled_from(STAGES))
        after = draw(st.lists(st.sampled_from([one.step for one in calls]), max_size=3)) if calls else []
        item = draw(st.sampled_from(["", "x", f"own-{number}"]))
        step = f"{place}.{number}"
        server = draw(st.sampled_from(servers))
        calls.append(PlannedCall(place, step, server, "create", draw(TIMES), item, tuple(after)))
    return calls


PERMITS = st.fixed_dictionaries({name: st.integers(1, 4) for name in SERVERS})


@given(plans(), PERMITS, st.sampled_from([None, 1, 3, {"create": 2}]))
def test_no_schedule_is_shorter_than_the_bound_or_the_longest_call(calls, permits, rate):
    found = estimate(FLOW, calls, {name: Limits(n, rate) for name, n in permits.items()})
    longest = max((call.seconds for call in calls), default=0)
    assert longest <= found.bound <= found.seconds


@given(plans(), PERMITS)
def test_without_rates_a_call_is_always_in_progress(calls, permits):
    found = estimate(FLOW, calls, {name: Limits(n) for name, n in permits.items()})
    assert found.seconds <= sum(call.seconds for call in calls)


@given(plans(servers=("docs",)))
def test_one_server_with_one_permit_takes_the_sum_of_the_work(calls):
    found = estimate(FLOW, calls, {"docs": Limits(1)})
    assert found.seconds == found.bound == sum(call.seconds for call in calls)


@given(plans())
def test_with_a_permit_for_every_call_only_the_longest_chain_counts(calls):
    many = estimate(FLOW, calls, {name: Limits(len(calls) + 1) for name in SERVERS})
    assert many.seconds == many.bound


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_zero_counts_as_one(rate):
    assert took(planned("a.1", 1), docs=Limits(1, per_minute=rate)) == (1, 1)
