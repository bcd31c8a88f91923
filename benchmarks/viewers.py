"""Let a thousand pages follow one job, and twenty others never read. Run with `-m benchmarks.viewers`.

Real processes: `manage.py up`, a writer that commits through `jobs.store.feed`, and a process of viewers.
The job writes two events a second, each with a number; a viewer's delay is from the commit until the viewer's
process has the whole message.
"""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.common import (
    ProcessUsage,
    Story,
    Written,
    cores,
    demand,
    installation,
    quantile,
    table,
    verdict,
)
from tests.e2e.installation import ROOT, Installation
from tests.jobs.running import narrow

VIEWERS, RATE, SECONDS = 1000, 2.0, 30.0
POLLERS, POLL_EACH, POLL_SECONDS = 50, 1.0, 10.0
NEVER, NEVER_RATE, NEVER_LOG, NEVER_SECONDS = 20, 20.0, 20_000, 12.0
P99, MOST_MB = 1.0, 50.0
LATE = 5.0  # seconds after which a state counts as missed


@dataclass
class Seen:
    """What a process of viewers saw, and what the web process used meanwhile.

    `delays` and `opened` in seconds, `cpu` in seconds of the processor, `memory` in MB.
    """

    viewers: int
    delays: list[float]
    states: int
    missed: int
    gone: int
    bytes: int
    seconds: float
    cpu: float
    opened: float
    memory: float

    @property
    def row(self) -> tuple[str, ...]:
        """Return the figures as cells of a table."""
        per_state = 1e6 * self.cpu / max(1, len(self.delays))
        return (
            str(self.viewers),
            f"{len(self.delays)} of {self.states * self.viewers}",
            *(f"{1000 * quantile(self.delays, share):.0f} ms" for share in (0.5, 0.99, 1)),
            f"{100 * self.cpu / self.seconds:.0f} %",
            f"{per_state:.0f} us",
            f"{self.bytes / self.viewers / self.seconds / 1000:.1f} kB/s",
        )


HEAD = ("by", "viewers", "states seen", "p50", "p99", "max", "web CPU", "CPU a state", "a viewer gets")


def main() -> None:
    """Follow by socket and by poll, open connections that never read, print the figures, and judge them."""
    prepare()
    with installation() as site, site.browser() as browser:
        session = browser.cookies["sessionid"]
        [id] = [id for id, words in site.processes().items() if "manage.py web" in words]
        web = ProcessUsage(id)
        with Story(site, "--steps-only", rate=RATE) as story:
            polled = follow(site, story, session, web, POLLERS, POLL_SECONDS, poll=POLL_EACH)
            pushed = follow(site, story, session, web, VIEWERS, SECONDS)
            story.end()
        print()
        print(table(HEAD, [("poll each 1 s", *polled.row), ("socket", *pushed.row)]))
        print(f"\n{VIEWERS} sockets opened in {pushed.opened:.1f} s; memory for each:", end=" ")
        print(f"{1024 * pushed.memory / VIEWERS:.0f} kB; states missed: {pushed.missed}")
        demand(pushed.gone == 0, f"{pushed.gone} of {VIEWERS} sockets were lost")
        demand(pushed.missed == 0, f"{pushed.missed} states were missed")
        p99 = quantile(pushed.delays, 0.99)
        demand(p99 <= P99, f"p99 from commit to socket is {p99:.2f} s, more than {P99:g} s")
        costs = never_read(site, session, web)
        print()
        print(table(("never read", "connections", "most memory"), costs))
        for what, _, cost in costs:
            demand(float(cost.split()[0]) <= MOST_MB, f"{what} that never read cost {cost}")


def prepare() -> None:
    """Allow this process enough open files and use two cores. Raises Unmet where the machine has fewer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    demand(hard >= 2 * VIEWERS, f"ulimit -n is {hard}: {2 * VIEWERS} files are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * VIEWERS, hard))
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def follow(
    site: Installation,
    story: Story,
    session: str,
    web: ProcessUsage,
    count: int,
    seconds: float,
    poll: float = 0,
) -> Seen:
    """Let `count` viewers follow the story for some seconds, and return what they saw.

    `poll`: the seconds between two polls of a viewer; 0 for a socket.
    """
    options = ["--port", str(site.port), "--job", story.job, "--count", str(count), "--poll", str(poll)]
    begun, memory = time.monotonic(), web.megabytes
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.watchers", *options],
        cwd=ROOT,
        env=site.env | {"SESSION": session},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as watchers:
        assert watchers.stdin is not None and watchers.stdout is not None
        demand(watchers.stdout.readline() == "ready\n", "the viewers could not open their pages")
        opened, memory = time.monotonic() - begun, web.megabytes - memory
        first, cpu, start = len(story.written) + 2, web.seconds, time.monotonic()
        time.sleep(seconds)
        last, spent, took = len(story.written), web.seconds - cpu, time.monotonic() - start
        time.sleep(LATE)  # what comes late is not missed
        watchers.stdin.close()
        told = json.loads(watchers.stdout.readline())
    marks = {number: one.at for number, one in numbered(story)[first:last]}
    delays = [at - marks[mark] for seen in told["seen"] for mark, at in seen if mark in marks]
    missed = len(marks) * count - len(delays)
    return Seen(count, delays, len(marks), missed, told["gone"], told["bytes"], took, spent, opened, memory)


def numbered(story: Story) -> list[tuple[int, Written]]:
    """Return each step of the story with the number that it shows, counted from 1."""
    steps = [one for one in story.written if one.type == "stage:progress"]
    return list(enumerate(steps, 1))


def never_read(site: Installation, session: str, web: ProcessUsage) -> list[tuple[str, str, str]]:
    """Open sockets and streams of a long job that are never read; return the memory in MB that they cost."""
    with Story(site, "--before", str(NEVER_LOG), rate=NEVER_RATE) as story:
        follow(site, story, session, web, 1, 3.0)  # so that the job's own memory is not counted
        socket_way = (f"/ws/jobs/{story.job}/", {"Cookie": f"sessionid={session}"} | upgrade(site))
        stream_way = (f"/api/jobs/{story.job}/events?detail=all", {"Cookie": f"sessionid={session}"})
        costs = []
        for what, (path, headers) in (("sockets", socket_way), ("streams", stream_way)):
            before = web.megabytes
            with unread(site.port, path, headers, NEVER) as clients:
                cost = most(web, NEVER_SECONDS) - before
                costs.append((what, str(len(clients)), f"{cost:.1f} MB"))
        return costs


def upgrade(site: Installation) -> dict[str, str]:
    """Return the headers of a page that opens its socket."""
    own = {"Origin": site.url, "Upgrade": "websocket", "Connection": "Upgrade"}
    return own | {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


@contextlib.contextmanager
def unread(port: int, path: str, headers: dict[str, str], count: int) -> Iterator[list[socket.socket]]:
    """Request a path over connections with small buffers, and read only the first bytes of each answer.

    Raises Unmet when an answer is not 101 or 200.
    """
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(narrow(port)) for _ in range(count)]
        for client in clients:
            client.settimeout(20)
            client.sendall("\r\n".join([*lines, "", ""]).encode())
        for client in clients:
            answer = client.recv(12)
            demand(answer[9:12] in (b"101", b"200"), f"the server answers {answer!r}")
        yield clients


def most(web: ProcessUsage, seconds: float) -> float:
    """Return the most memory in MB that the web process holds within some seconds."""
    found, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        found = max(found, web.megabytes)
        time.sleep(0.05)
    return found


if __name__ == "__main__":
    verdict(main)
