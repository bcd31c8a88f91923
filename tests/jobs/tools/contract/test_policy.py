"""How a policy derives a size from a call's arguments."""

import pytest

from jobs.tools.contract.policy import ToolPolicy

PIXELS = ToolPolicy(sized_by=("width", "height"))
TEXT = ToolPolicy(sized_by=("content",))


def test_a_tool_without_a_size_argument_has_no_sizes():
    assert ToolPolicy().size({"width": 300}) == ""


def test_numbers_are_used_as_sizes_unchanged():
    assert PIXELS.size({"width": 728, "height": 90}) == "728x90"


@pytest.mark.parametrize(
    ("length", "size"), [(0, "1"), (1, "1"), (2, "2"), (3, "4"), (1000, "1024"), (1025, "2048")]
)
def test_the_sizes_of_texts_and_lists_are_rounded_up_to_powers_of_two(length: int, size: str):
    assert TEXT.size({"content": "x" * length}) == TEXT.size({"content": ["x"] * length}) == size


def test_a_size_is_short_for_any_argument():
    assert len(PIXELS.size({"width": "dry-run:" * 50, "height": 10**60})) <= 40
