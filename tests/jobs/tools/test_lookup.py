"""Looking up an effect: the arguments, the matching item, and inconclusive answers."""

import re

import pytest

from jobs.tools.contract.policy import Lookup, ToolPolicy, marker
from jobs.tools.contract.reply import Reply
from jobs.tools.lookup import Undecided, arguments, next_page, ours, sent_name
from tests.jobs.tools.conftest import call

KEY = "ab" * 16
BY_KEY = Lookup("find_campaigns", {"external_id": "$key"})
BY_NOTES = Lookup(
    "asana_get_tasks_for_project",
    {"project_id": "$project_id", "opt_fields": "gid,notes", "limit": 100},
    match="marker",
    fields=("notes",),
    page_argument="offset",
)
BY_NAME = Lookup("listFolderContents", {"folderId": "$parentFolderId"}, match="name", fields=("name",))


def task(**args):
    return call("asana_create_task", {"project_id": "7", "name": "Kick-off"} | args, key=KEY)


def listed(*items):
    return Reply({"data": list(items)})


def test_look_up_arguments_are_built_from_key_marker_and_sent_arguments():
    assert arguments(call("create_campaign", {"name": "L"}, key=KEY), BY_KEY) == {"external_id": KEY}
    assert arguments(task(), BY_NOTES) == {"project_id": "7", "opt_fields": "gid,notes", "limit": 100}
    search = Lookup("asana_search_projects", {"name_pattern": "~name", "query": "$marker"})
    asked = arguments(task(name="Aurora (One)"), search)
    assert asked["query"] == marker(KEY)
    assert re.fullmatch(asked["name_pattern"], "Aurora (One)")


def test_a_call_sent_without_its_folder_cannot_be_looked_up():
    with pytest.raises(Undecided, match="without parentFolderId"):
        arguments(call("createDocument", {"title": "Brief"}), BY_NAME)


def test_a_search_by_key_returns_only_our_item():
    policy = ToolPolicy(key_argument="external_id", lookup=BY_KEY)
    one = call("create_campaign", {"name": "L"}, key=KEY)
    assert ours(Reply({"items": [{"id": "1"}]}), one, policy, BY_KEY) == {"id": "1"}
    assert ours(Reply({"items": []}), one, policy, BY_KEY) is None


def test_an_item_with_another_key_is_never_adopted():
    policy = ToolPolicy(key_argument="external_id", lookup=BY_KEY)
    one = call("create_campaign", {"name": "L"}, key=KEY)
    theirs, mine = {"id": "1", "external_id": "cd" * 16}, {"id": "2", "external_id": KEY}
    assert ours(Reply({"items": [theirs, mine]}), one, policy, BY_KEY) == mine
    with pytest.raises(Undecided, match="another key"):
        ours(Reply({"items": [theirs]}), one, policy, BY_KEY)


def test_the_marker_identifies_the_task_among_tasks_of_the_same_name():
    policy = ToolPolicy(note_argument="notes", lookup=BY_NOTES)
    theirs = {"gid": "1", "name": "Kick-off", "notes": "ref fp-000000000000"}
    mine = {"gid": "2", "name": "Kick-off", "notes": f"Do it.\n\nref {marker(KEY)}"}
    assert ours(listed(theirs, mine), task(), policy, BY_NOTES) == mine
    assert ours(listed(theirs), task(), policy, BY_NOTES) is None


def test_a_task_of_the_same_name_without_notes_is_inconclusive():
    policy = ToolPolicy(note_argument="notes", lookup=BY_NOTES)
    with pytest.raises(Undecided, match="does not show notes"):
        ours(listed({"gid": "1", "name": "Kick-off"}), task(), policy, BY_NOTES)
    assert ours(listed({"gid": "1", "name": "Another"}), task(), policy, BY_NOTES) is None


def test_a_document_is_identified_by_its_name_in_the_jobs_folder():
    policy = ToolPolicy(lookup=BY_NAME)
    one = call("createDocument", {"title": "Brief", "parentFolderId": "f"})
    assert ours(Reply({"files": [{"id": "1", "name": "Brief"}]}), one, policy, BY_NAME)["id"] == "1"
    assert ours(Reply({"files": [{"id": "1", "name": "Brief 2"}]}), one, policy, BY_NAME) is None
    assert ours(Reply({"files": [{"id": "1", "name": ""}]}), call("createDocument"), policy, BY_NAME) is None


def test_an_answer_without_a_list_is_inconclusive():
    with pytest.raises(Undecided, match="no list"):
        ours(Reply({}, "nothing found"), task(), ToolPolicy(), BY_NOTES)
    assert ours(listed("no object"), task(), ToolPolicy(), BY_NOTES) is None


def test_the_sent_name_contains_the_marker_if_the_policy_says_so():
    folder = call("createFolder", {"name": "Aurora"}, key=KEY)
    assert sent_name(folder, ToolPolicy(name_argument="name")) == f"Aurora ({marker(KEY)})"
    assert sent_name(folder, ToolPolicy()) == "Aurora"
    assert sent_name(call("createFolder"), ToolPolicy(name_argument="name")) == ""


def test_the_next_page_is_read_if_the_answer_names_one():
    more = Reply({"data": [], "next_page": {"offset": "x"}})
    assert next_page(more, BY_NOTES) == "x"
    assert next_page(Reply({"data": [], "next_page": None}), BY_NOTES) is None
    assert next_page(more, BY_KEY) is None
