"""What a server says of a tool: hints make a policy stricter and never looser, its schemas cost no time."""

import mcp_types as types
import pytest

from jobs.tools.contract.errors import InvalidArguments
from jobs.tools.contract.tool import Tool


def listed(**hints) -> Tool:
    entry = {"name": "t", "inputSchema": {"type": "object"}}
    return Tool.listed("s", types.Tool.model_validate(entry | ({"annotations": hints} if hints else {})))


@pytest.mark.parametrize(
    "hints",
    [
        {},
        {"title": "A tool"},
        {"readOnlyHint": False},
        {"destructiveHint": True},
        {"idempotentHint": True},
        {"readOnlyHint": False, "idempotentHint": True},
        {"readOnlyHint": True, "idempotentHint": False},
        {"readOnlyHint": False, "destructiveHint": True},
    ],
)
def test_a_server_that_does_not_deny_it_changes_nothing(hints):
    assert listed(**hints).may_repeat_hint


@pytest.mark.parametrize(
    "hints", [{"idempotentHint": False}, {"readOnlyHint": False, "idempotentHint": False}]
)
def test_a_server_that_says_a_second_call_does_more_is_believed(hints):
    assert not listed(**hints).may_repeat_hint


def taking(schema: dict) -> Tool:
    entry = {"name": "t", "inputSchema": {"type": "object"} | schema}
    return Tool.listed("s", types.Tool.model_validate(entry))


def test_a_regular_expression_of_a_server_cannot_keep_the_worker_busy():
    tool = taking({"properties": {"name": {"type": "string", "pattern": r"^(\w+\s?)*$"}}})
    tool.check({"name": "a" * 40 + "!"})  # matching it would take days
    with pytest.raises(InvalidArguments):
        tool.check({"name": 5})


def test_an_argument_that_is_called_pattern_is_one_like_any_other():
    tool = taking({"properties": {"pattern": {"type": "string"}}})
    with pytest.raises(InvalidArguments):
        tool.check({"pattern": 5})


def test_arguments_that_only_a_regular_expression_declares_are_left_to_the_server():
    strict = {"properties": {}, "patternProperties": {"^x_": {}}, "additionalProperties": False}
    taking({"properties": {"more": {"type": "object"} | strict}}).check({"more": {"x_one": 1}})
    with pytest.raises(InvalidArguments):
        taking(
            {"properties": {"more": {"type": "object", "properties": {}, "additionalProperties": False}}}
        ).check({"more": {"x_one": 1}})


def test_everything_that_is_missing_or_not_declared_is_named_at_once():
    schema = {"type": "object", "properties": {"title": {}, "budget": {}}, "required": ["title", "budget"]}
    with pytest.raises(InvalidArguments) as refused:
        Tool("ttd", "create_campaign", schema).check({"name": "x", "channel": "ctv"})
    assert str(refused.value) == (
        "ttd create_campaign: title is required, budget is required, "
        "name is not an argument of this tool, channel is not an argument of this tool"
    )


def test_of_very_many_missing_arguments_the_first_are_named_and_the_others_counted():
    with pytest.raises(InvalidArguments, match=r"a5 is required, and 94 more$"):
        taking({"properties": {}, "required": [f"a{number}" for number in range(100)]}).check({})
