"""How a server describes a tool: hints only make a policy stricter, and schemas are checked quickly."""

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
def test_hints_that_allow_a_repeat_change_nothing(hints):
    assert listed(**hints).may_repeat_hint


@pytest.mark.parametrize(
    "hints", [{"idempotentHint": False}, {"readOnlyHint": False, "idempotentHint": False}]
)
def test_a_hint_that_a_repeat_has_further_effects_is_respected(hints):
    assert not listed(**hints).may_repeat_hint


def taking(schema: dict) -> Tool:
    entry = {"name": "t", "inputSchema": {"type": "object"} | schema}
    return Tool.listed("s", types.Tool.model_validate(entry))


def test_a_servers_regular_expression_cannot_block_the_worker():
    tool = taking({"properties": {"name": {"type": "string", "pattern": r"^(\w+\s?)*$"}}})
    tool.check({"name": "a" * 40 + "!"})  # matching it would take days
    with pytest.raises(InvalidArguments):
        tool.check({"name": 5})


def test_an_argument_named_pattern_is_checked_like_any_other():
    tool = taking({"properties": {"pattern": {"type": "string"}}})
    with pytest.raises(InvalidArguments):
        tool.check({"pattern": 5})


def test_arguments_declared_only_by_a_regular_expression_are_not_checked():
    strict = {"properties": {}, "patternProperties": {"^x_": {}}, "additionalProperties": False}
    taking({"properties": {"more": {"type": "object"} | strict}}).check({"more": {"x_one": 1}})
    with pytest.raises(InvalidArguments):
        taking(
            {"properties": {"more": {"type": "object", "properties": {}, "additionalProperties": False}}}
        ).check({"more": {"x_one": 1}})


def test_all_missing_and_undeclared_arguments_are_listed_together():
    schema = {"type": "object", "properties": {"title": {}, "budget": {}}, "required": ["title", "budget"]}
    with pytest.raises(InvalidArguments) as refused:
        Tool("ttd", "create_campaign", schema).check({"name": "x", "channel": "ctv"})
    assert str(refused.value) == (
        "ttd create_campaign: title is required, budget is required, "
        "name is not an argument of this tool, channel is not an argument of this tool"
    )


def test_a_long_list_of_missing_arguments_is_shortened_to_a_count():
    with pytest.raises(InvalidArguments, match=r"a5 is required, and 94 more$"):
        taking({"properties": {}, "required": [f"a{number}" for number in range(100)]}).check({})
