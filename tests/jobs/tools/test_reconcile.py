"""Reconcile: an uncertain effect is found, proven absent, or unknown; it is never guessed."""

import asyncio
from pathlib import Path

import pytest

from jobs.tools.contract.config import load_servers
from jobs.tools.contract.errors import ServerUnavailable, Stopped
from jobs.tools.contract.policy import Lookup, Role, ToolPolicy
from jobs.tools.contract.reply import Reply
from jobs.tools.reconcile import MOST_PAGES, Doubt, Reconciler
from tests.fakes import entry
from tests.jobs.tools.conftest import ROLES, call

FOUND = Reply({"items": [{"id": "c-1", "url": "https://dsp.example/c-1"}]})
NOTHING = Reply({"items": []})
POLICY = ToolPolicy(key_argument="external_id", lookup=Lookup("find_campaigns", {"external_id": "$key"}))
ROLE = Role("ttd", 1, {}, lag=0.02)
CALL = call("create_campaign", {"name": "Line", "budget": 5})


class Story:
    """A scripted look-up tool with a log of what happened in order."""

    def __init__(self, *answers, stopped: bool = True):
        self.answers, self.stopped, self.log = list(answers), stopped, []

    async def ask(self, one, tool, asked):
        self.log.append("look")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stop(self) -> bool:
        self.log.append("stop")
        return self.stopped

    async def settle(self, policy=POLICY, *, until: float | None = None, role=ROLE):
        spec = load_servers(None, {"ttd": ROLES["ttd"]}, {"ttd": entry("ttd", Path("unused"))})["ttd"]
        if until is not None:
            until += asyncio.get_running_loop().time()
        doubt = Doubt("why", self.stop, until)
        return await Reconciler(spec, role, self.ask).settle(CALL, policy, doubt)


async def test_an_existing_effect_is_adopted_immediately_without_stopping_its_server():
    story = Story(FOUND)
    reply = await story.settle()
    assert (reply.remote_id, reply.remote_url) == ("c-1", "https://dsp.example/c-1")
    assert story.log == ["look"]


async def test_absent_counts_only_after_the_server_is_stopped_and_its_index_is_current():
    story = Story(NOTHING)
    began = asyncio.get_running_loop().time()
    assert await story.settle() == "absent"
    assert story.log == ["look", "stop", "look"]
    assert asyncio.get_running_loop().time() - began >= ROLE.lag


async def test_an_effect_made_just_before_the_stop_is_found():
    story = Story(NOTHING, FOUND)
    assert (await story.settle()).remote_id == "c-1"
    assert story.log == ["look", "stop", "look"]


async def test_an_effect_never_counts_as_absent_while_its_server_may_still_make_it():
    story = Story(NOTHING, stopped=False)
    assert await story.settle() is None
    assert story.log == ["look", "stop", "look", "look", "look"]


async def test_a_late_effect_of_a_server_that_cannot_be_stopped_is_found():
    story = Story(NOTHING, NOTHING, NOTHING, FOUND, stopped=False)
    assert (await story.settle()).remote_id == "c-1"


async def test_once_the_deadline_of_the_call_has_passed_absent_counts_without_a_stop():
    story = Story(NOTHING, stopped=False)
    began = asyncio.get_running_loop().time()
    assert await story.settle(until=0.1) == "absent"
    assert asyncio.get_running_loop().time() - began >= 0.1 + ROLE.lag
    assert await Story(NOTHING, stopped=False).settle(until=-5.0) == "absent"


async def test_an_effect_without_a_look_up_stays_unknown():
    story = Story(FOUND)
    assert await story.settle(ToolPolicy()) is None
    assert story.log == ["stop"]


@pytest.mark.parametrize(
    "answer",
    [
        ServerUnavailable("ttd: down"),
        Reply({}, "nothing that can be read"),
        Reply({"items": [{"name": "without an id"}]}),
    ],
)
async def test_an_inconclusive_look_up_leaves_the_effect_unknown_and_stops_the_server(answer):
    story = Story(answer)
    assert await story.settle() is None
    assert story.log == ["look", "stop"], "a person may answer that it is absent, and it is sent again"


async def test_a_lease_lost_during_a_look_up_resolves_nothing_and_stops_no_server():
    story = Story(Stopped("the lease ran out"))
    with pytest.raises(Stopped):
        await story.settle()
    assert story.log == ["look"]


async def test_an_image_is_adopted_without_an_id():
    reply = await Story(Reply({"items": [{"path": "/a.png"}]})).settle(
        ToolPolicy(image=True, lookup=POLICY.lookup)
    )
    assert reply.data == {"path": "/a.png"}


async def test_all_pages_are_read_up_to_a_limit():
    lookup = Lookup("find_campaigns", {"external_id": "$key"}, page_argument="offset")
    policy = ToolPolicy(key_argument="external_id", lookup=lookup)
    page = Reply({"items": [], "next_page": {"offset": "more"}})
    story = Story(page, page, FOUND)
    assert (await story.settle(policy)).remote_id == "c-1"
    endless = Story(page)
    assert await endless.settle(policy) is None
    assert endless.log == ["look"] * MOST_PAGES + ["stop"]


async def test_a_single_look_up_finds_an_effect_but_proves_no_absence():
    spec = load_servers(None, {"ttd": ROLES["ttd"]}, {"ttd": entry("ttd", Path("unused"))})["ttd"]

    async def seen(answer, policy=POLICY):
        return await Reconciler(spec, ROLE, Story(answer).ask).seen(CALL, policy)

    assert (await seen(FOUND)).remote_id == "c-1"
    assert await seen(NOTHING) is None
    assert await seen(ServerUnavailable("ttd: down")) is None
    assert await seen(FOUND, ToolPolicy()) is None
