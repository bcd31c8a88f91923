"""Pages and streams that are never read cost the web process little and are disconnected."""

import contextlib
import select
import socket

import pytest

from benchmarks.common import Story
from benchmarks.viewers import MOST_MB, NEVER, ProcessUsage, unread, upgrade
from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, until

pytestmark = [pytest.mark.slow, pytest.mark.long]
LONG = 10_000  # events in the job's log: four megabytes for each stream that reads them
PER_SECOND = 20.0


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    return start()


def dead(client: socket.socket) -> bool:
    """Return whether the peer has closed a connection, without reading buffered data."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))


def test_twenty_pages_and_twenty_streams_that_never_read_cost_little_and_are_disconnected(site: Installation):
    with site.browser() as browser:
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
    [web] = [ProcessUsage(id) for id, words in site.processes().items() if "manage.py web" in words]
    with Story(site, "--before", str(LONG), rate=PER_SECOND) as story, contextlib.ExitStack() as stack:
        story.reaches(LONG)
        page, stream = f"/ws/jobs/{story.job}/", f"/api/jobs/{story.job}/events?detail=all"
        with unread(site.port, page, cookie | upgrade(site), 1):
            before = web.megabytes  # without the memory that the job itself needs
        clients = stack.enter_context(unread(site.port, page, cookie | upgrade(site), NEVER))
        clients += stack.enter_context(unread(site.port, stream, cookie, NEVER))
        held = [web.megabytes]

        def all_let_go() -> bool:
            held.append(web.megabytes)
            return all(map(dead, clients))

        until(all_let_go, "all that never read are let go", 90)
        assert max(held) - before <= MOST_MB
