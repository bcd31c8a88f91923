"""A client that loses its connection every few events and resumes gets the log once and in order."""

import pytest

from benchmarks import reconnects
from benchmarks.common import Story, Written
from benchmarks.followers import Followed
from tests.e2e.conftest import Start

pytestmark = [pytest.mark.slow, pytest.mark.long]
OF_EACH_WAY = 340
LOG = [Written(1, "job:queued", 0.0), Written(2, "stage:start", 0.0), Written(3, "stage:progress", 0.0)]


async def test_a_thousand_reconnects_by_stream_poll_and_socket_lose_and_repeat_nothing(start: Start):
    site = start()
    with site.browser() as browser, Story(site, rate=reconnects.RATE) as story:
        session = browser.cookies["sessionid"]
        followed, _ = await reconnects.follow(site, story, session, OF_EACH_WAY)
        written = story.written
        ends = [reconnects.ends_as_told(site, story.job, one) for one in followed if one.way == "socket"]
    assert sum(one.reconnects for one in followed) >= 1000
    assert {one.way for one in followed} == {"stream", "poll", "socket"}
    assert [event.seq for event in written] == list(range(1, len(written) + 1))
    for one in followed:
        assert reconnects.judge(one, written).kept, (one.way, reconnects.judge(one, written))
    assert len(ends) == reconnects.CLIENTS["socket"] and all(ends)


@pytest.mark.parametrize(
    ("seqs", "wrong"),
    [
        ([1, 2, 3], {}),
        ([1, 3], {"missing": 1}),
        ([1, 2, 2, 3], {"double": 1}),
        ([2, 1, 3], {"disordered": 1}),
        ([1, 2, 3, 4], {"stale": 1}),
        ([], {"missing": 3}),
    ],
)
def test_an_incomplete_log_is_detected(seqs: list[int], wrong: dict[str, int]):
    assert reconnects.judge(Followed("poll", seqs=seqs), LOG) == reconnects.Judged(**wrong)


def test_a_client_of_public_events_must_receive_no_others():
    assert reconnects.judge(Followed("stream", everything=False, seqs=[2, 3]), LOG).kept
    assert reconnects.judge(Followed("stream", everything=False, seqs=[1, 2, 3]), LOG).stale == 1


def test_a_page_that_goes_back_or_opens_incomplete_is_detected():
    assert reconnects.judge(Followed("socket", states=[(0, 1), (0, 1), (1, 0)]), LOG).kept
    assert reconnects.judge(Followed("socket", states=[(0, 2), (0, 1)]), LOG).stale == 1
    assert reconnects.judge(Followed("socket", states=[(0, 2)], bare=1), LOG).stale == 1
