"""The project and its tasks: counts, the rule of three quarters, and our own list."""

import pytest

from campaigns.documents.tasks import task_list
from jobs.engine.results import JobStatus, Source, Status, Stopped
from jobs.tools.contract.errors import ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from tests.campaigns.stages.stand import play


def fail_tasks(tools, brief, number: int) -> list[str]:
    tasks = task_list(brief)[:number]
    for task in tasks:
        tools.faults.add("asana_create_task", ToolFailed(f"no room for {task.name}"), f".{task.slug}")
    return [task.name for task in tasks]


async def test_every_task_of_the_brief_is_made_in_its_project(brief, tools, files):
    played = await play("project", brief=brief, tools=tools, files=files)
    result, tasks = played.results["project"], task_list(brief)
    assert (result.status, result.made, result.total) == (Status.COMPLETED, len(tasks), len(tasks))
    (project,) = tools.of("asana_create_project")
    assert project.args["workspace"] == "77" and brief.title in project.args["name"]
    sent = {one.args["name"]: one.args for one in tools.of("asana_create_task")}
    for task in tasks:
        assert sent[task.name]["due_on"] == task.due_on.isoformat()
        assert sent[task.name]["project_id"] == "project.project-id"
    counts = played.progress("project")
    assert counts[-1] == (len(tasks), len(tasks)) and counts == sorted(counts)
    assert played.artifact("project").url == "https://asana-v2.example/project.project-id"
    listed = played.artifact("project-tasks.md")
    assert listed.source is Source.LOCAL
    assert files.read(listed.file).count("https://asana-v2.example/project.task.") == len(tasks)


async def test_eleven_of_thirteen_tasks_are_a_completed_stage_and_the_rest_is_listed(aurora, tools, files):
    names = fail_tasks(tools, aurora, 2)
    played = await play("project", brief=aurora, tools=tools, files=files)
    result = played.results["project"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, 11, 13)
    assert [one["item"] for one in result.data["missed"]] == names
    assert played.artifact("project-tasks.md").source is Source.FALLBACK
    assert files.read("project-tasks.md").count("listed here only") == 2
    assert len(played.fallbacks()) == 2


@pytest.mark.parametrize(
    ("failing", "status"), [(3, Status.COMPLETED), (4, Status.PARTIAL), (13, Status.FAILED)]
)
async def test_a_stage_is_judged_by_three_quarters_of_its_tasks(aurora, tools, files, failing, status):
    fail_tasks(tools, aurora, failing)
    played = await play("project", brief=aurora, tools=tools, files=files)
    result = played.results["project"]
    assert (result.status, result.made) == (status, 13 - failing)
    assert bool(result.error) is (status is not Status.COMPLETED)


async def test_without_a_project_no_task_is_sent_and_all_are_listed(brief, tools, files):
    tools.faults.add("asana_create_project", ToolFailed("you are not a member"))
    played = await play("project", brief=brief, tools=tools, files=files)
    result, tasks = played.results["project"], task_list(brief)
    assert (result.status, result.made, result.total) == (Status.FAILED, 0, len(tasks))
    assert "you are not a member" in result.error
    assert not tools.of("asana_create_task")
    assert [a.name for a in result.artifacts] == ["project-tasks.md"]
    assert files.read("project-tasks.md").count("listed here only") == len(tasks)
    assert [step for step, _ in played.fallbacks()] == ["project.project"]


@pytest.mark.parametrize("data", [{"items": [{"gid": "5"}]}, {"data": [{"gid": 5}], "next_page": None}])
async def test_a_workspace_is_found_in_either_form_of_the_answer(aurora, tools, files, data):
    tools.answers["asana_list_workspaces"] = lambda sent: Reply(data=data)
    await play("project", brief=aurora, tools=tools, files=files)
    assert tools.of("asana_create_project")[0].args["workspace"] == "5"


@pytest.mark.parametrize("data", [{}, {"data": []}, {"data": [{"name": "no gid"}, "text"]}, {"data": None}])
async def test_no_workspace_means_no_project_and_a_reason(aurora, tools, files, data):
    tools.answers["asana_list_workspaces"] = lambda sent: Reply(data=data)
    played = await play("project", brief=aurora, tools=tools, files=files)
    assert "lists no workspace" in played.results["project"].error
    assert not tools.of("asana_create_project")


async def test_one_unknown_task_keeps_the_job_from_being_completed(aurora, tools, files):
    tools.faults.add("asana_create_task", Unknown("nobody knows"), ".launch")
    played = await play("project", brief=aurora, tools=tools, files=files)
    assert played.results["project"].status is Status.COMPLETED
    assert played.results["project"].data["unknown"] == ["Launch"]
    assert played.status == JobStatus.PARTIAL


async def test_a_stop_among_the_tasks_ends_the_stage_without_a_list(aurora, tools, files):
    tools.faults.add("asana_create_task", Stopped("cancelled"), ".launch")
    with pytest.raises(Stopped):
        await play("project", brief=aurora, tools=tools, files=files)
    assert not files.path("project-tasks.md").exists()
