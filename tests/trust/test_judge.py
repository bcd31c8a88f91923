"""The judge detects every kind of fault, so that a verdict without faults can be trusted."""

from dataclasses import replace

from tests.trust.judge import Effect, Story, judge, thing

TASK = Effect("asana-v2", "asana_create_task", "k1", "a task")
LINE = Effect("ttd", "create_campaign", "k2", "a line")
CELLS = Effect("google-docs", "writeSpreadsheet", "k3", "cells")
WHOLE = [TASK, LINE, CELLS]


def call(effect: Effect, state: str = "done") -> dict:
    return {"step": effect.thing, "state": state, "key": effect.key}


def story(*effects: Effect, status: str = "completed", **states: str) -> Story:
    calls = {one.key: call(one, states.get(one.key, "done")) for one in WHOLE}
    return Story(status, calls, list(effects), [])


CLEAN = story(*WHOLE)


def test_a_clean_run_has_no_fault_and_needs_no_person():
    verdict = judge(CLEAN, CLEAN)
    assert (verdict.faults, verdict.money, verdict.person) == ([], 0, False)


def test_a_second_effect_under_one_key_is_a_duplicate_and_spending_is_counted_separately():
    assert (len(judge(story(*WHOLE, TASK), CLEAN).duplicates), judge(story(*WHOLE, TASK), CLEAN).money) == (
        1,
        0,
    )
    assert judge(story(*WHOLE, LINE), CLEAN).money == 1


def test_the_same_effect_under_another_key_is_a_duplicate():
    assert judge(story(*WHOLE, replace(LINE, key="k9")), CLEAN).money == 1


def test_writing_the_same_cells_twice_is_not_a_duplicate():
    assert judge(story(*WHOLE, CELLS), CLEAN).faults == []


def test_a_job_that_has_not_ended_or_whose_log_has_gaps_is_lost():
    assert judge(story(*WHOLE, status="running"), CLEAN).lost
    assert judge(replace(CLEAN, gaps=True), CLEAN).lost


def test_a_completed_job_with_a_missing_effect_or_an_unknown_call_is_false():
    assert judge(story(TASK, CELLS), CLEAN).false
    assert judge(story(*WHOLE, k2="unknown"), CLEAN).false
    assert judge(story(TASK, CELLS, status="partial"), CLEAN).false == [
        "a line is done, the job partial, nothing exists"
    ]


def test_an_unknown_call_in_a_partial_job_is_no_fault_but_needs_a_person():
    verdict = judge(story(TASK, CELLS, status="partial", k2="unknown"), CLEAN)
    assert (verdict.faults, verdict.person) == ([], True)


def test_a_failed_call_with_an_effect_or_a_sent_call_in_an_ended_job_is_false():
    assert judge(story(*WHOLE, status="partial", k1="failed"), CLEAN).false
    assert judge(story(*WHOLE, status="partial", k1="sent"), CLEAN).false


def test_remaining_processes_are_listed():
    assert judge(replace(CLEAN, left={7: "a server"}), CLEAN).faults == ["left: a server"]


def test_an_effect_is_identified_without_its_keys_and_markers():
    plain = thing({"name": "Folder", "budget": 1})
    assert thing({"name": "Folder (fp-0123456789ab)", "budget": 1, "external_id": "x"}) == plain
