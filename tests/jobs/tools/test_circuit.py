"""The circuit: five strikes in a row open it, each cool-down allows one probe, a success resets it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs.tools.circuit import COOL_DOWN, LONGEST_COOL_DOWN, THRESHOLD, Circuit


class Clock:
    """A clock that advances only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock) -> Circuit:
    return Circuit(clock)


def opened(circuit: Circuit) -> Circuit:
    for number in range(THRESHOLD):
        circuit.strike(number, f"strike {number}")
    return circuit


def probe(circuit: Circuit, clock: Clock) -> None:
    """Let the cool-down pass and take the probe."""
    clock.now = circuit.until
    assert circuit.allow()
    assert circuit.probing


def test_a_new_circuit_allows_every_call(circuit):
    assert all(circuit.allow() for _ in range(100))
    assert (circuit.open, circuit.reason, circuit.until, circuit.probing) == (False, "", 0.0, False)


def test_five_strikes_in_a_row_open_the_circuit_with_a_reason(circuit, clock):
    for number in range(THRESHOLD - 1):
        circuit.strike(number)
        assert circuit.allow()
    circuit.strike(object(), "it hangs")
    assert circuit.open
    assert not circuit.allow()
    assert (circuit.reason, circuit.until) == ("it hangs", clock.now + COOL_DOWN)


def test_an_incident_that_fails_many_calls_is_one_strike(circuit):
    one, other = object(), object()
    for _ in range(100):
        circuit.strike(one)
        circuit.strike(other)
    assert not circuit.open


def test_each_strike_without_an_incident_counts(circuit):
    for _ in range(THRESHOLD):
        circuit.strike(None)
    assert circuit.open


def test_a_success_in_between_resets_the_count(circuit):
    for number in range(20):
        circuit.strike(number)
        circuit.strike(number + 100)
        circuit.success()
    assert not circuit.open
    assert circuit.reason == ""


def test_after_the_cool_down_exactly_one_call_is_the_probe(circuit, clock):
    opened(circuit)
    clock.now = circuit.until - 0.001
    assert not circuit.allow()
    clock.now = circuit.until
    assert [circuit.allow() for _ in range(10)] == [True] + [False] * 9
    assert circuit.open


def test_a_successful_probe_closes_the_circuit_and_resets_the_cool_down(circuit, clock):
    opened(circuit)
    probe(circuit, clock)
    circuit.strike(None)
    probe(circuit, clock)
    circuit.success()
    assert circuit.allow()
    opened(circuit)
    assert circuit.until == clock.now + COOL_DOWN


def test_each_failed_probe_doubles_the_cool_down_up_to_five_minutes(circuit, clock):
    opened(circuit)
    waits = []
    for _ in range(30):
        waits.append(circuit.until - clock.now)
        probe(circuit, clock)
        circuit.strike("the same connection", "still")
        assert not circuit.allow()
    assert waits[:6] == [15, 30, 60, 120, 240, 300]
    assert set(waits[5:]) == {LONGEST_COOL_DOWN}
    assert circuit.reason == "still"


def test_a_probe_that_was_not_sent_allows_another_probe(circuit, clock):
    opened(circuit)
    until = circuit.until
    probe(circuit, clock)
    circuit.give_up()
    assert circuit.until == until
    probe(circuit, clock)


def test_giving_up_while_closed_changes_nothing(circuit):
    circuit.give_up()
    assert circuit.allow()


def test_late_failures_of_earlier_calls_do_not_extend_the_cool_down(circuit, clock):
    opened(circuit)
    until, reason = circuit.until, circuit.reason
    for _ in range(50):
        circuit.strike(None, "late")
    assert (circuit.until, circuit.reason) == (until, reason)


def test_a_late_success_of_an_earlier_call_closes_the_circuit(circuit):
    opened(circuit).success()
    assert circuit.allow()


class Machine(RuleBasedStateMachine):
    """Reports in any order: one probe per cool-down, and never open longer than the longest cool-down."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuit = Circuit(self.clock)
        self.row: set[int] = set()
        self.probe = False

    @rule(seconds=st.sampled_from([0.0, 1.0, COOL_DOWN, LONGEST_COOL_DOWN]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def asks(self):
        was_open, due = self.circuit.open, self.clock.now >= self.circuit.until
        allowed = self.circuit.allow()
        assert allowed == (not was_open or (due and not self.probe))
        self.probe = self.probe or (was_open and allowed)

    @rule(incident=st.integers(0, 8))
    def fails(self, incident):
        was_open, until = self.circuit.open, self.circuit.until
        self.circuit.strike(incident, "why")
        if was_open:
            assert self.circuit.until == until or self.probe
            assert not self.probe or self.circuit.until >= self.clock.now + COOL_DOWN
            self.probe = False
        else:
            self.row.add(incident)
            assert self.circuit.open == (len(self.row) >= THRESHOLD)

    @rule()
    def succeeds(self):
        self.circuit.success()
        self.row.clear()
        self.probe = False

    @precondition(lambda self: self.probe)
    @rule()
    def gives_up(self):
        self.circuit.give_up()
        self.probe = False

    @invariant()
    def says_what_it_is(self):
        assert self.circuit.open == bool(self.circuit.until)
        assert self.circuit.until <= self.clock.now + LONGEST_COOL_DOWN
        assert self.circuit.probing == self.probe
        assert not self.circuit.open or self.circuit.reason == "why"


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
