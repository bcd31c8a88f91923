"""A thousand pages follow one job at two events a second; twenty others never read. `-m benchmarks.viewers`

Real processes: `manage.py up`, a writer that commits through `jobs.store.feed`, and a process of viewers.
Each event shows a number; a viewer's delay is from the commit to the whole message in the viewer's process.
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
from pathlib import Path

from benchmarks.house import ROOT, Story, cores, demand, installation, quantile, table, verdict
from tests.e2e.installation import Installation
from tests.jobs.running import narrow

VIEWERS, RATE, SECONDS = 1000, 2.0, 30.0
POLLERS, POLL_EACH, POLL_SECONDS = 50, 1.0, 10.0
NEVER, NEVER_RATE, NEVER_LOG, NEVER_SECONDS = 20, 20.0, 20_000, 12.0
P99, MOST_MB = 1.0, 50.0
LATE = 5.0  # seconds after which what has not come counts as missed
TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass
class Web:
    """The web process, as the kernel counts it."""

    id: int

    @property
    def seconds(self) -> float:
        """Give the processor time it has used."""
        fields = Path(f"/proc/{self.id}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def megabytes(self) -> float:
        """Give the memory it holds."""
        return int(Path(f"/proc/{self.id}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@dataclass
class Seen:
    """What a process of viewers told: delays, what was missed, and what the web process spent meanwhile."""

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
        """Give the figures as cells of a table."""
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
    """Run both ways of following and both ways of not reading, print the figures, and judge them."""
    prepare()
    with installation() as house, house.browser() as browser:
        session = browser.cookies["sessionid"]
        [id] = [id for id, words in house.processes().items() if "manage.py web" in words]
        web = Web(id)
        with Story(house, "--steps-only", rate=RATE) as story:
            polled = follow(house, story, session, web, POLLERS, POLL_SECONDS, poll=POLL_EACH)
            pushed = follow(house, story, session, web, VIEWERS, SECONDS)
            story.end()
        print()
        print(table(HEAD, [("poll each 1 s", *polled.row), ("socket", *pushed.row)]))
        print(f"\n{VIEWERS} sockets opened in {pushed.opened:.1f} s; memory for each:", end=" ")
        print(f"{1024 * pushed.memory / VIEWERS:.0f} kB; states missed: {pushed.missed}")
        demand(pushed.gone == 0, f"{pushed.gone} of {VIEWERS} sockets were lost")
        demand(pushed.missed == 0, f"{pushed.missed} states were missed")
        p99 = quantile(pushed.delays, 0.99)
        demand(p99 <= P99, f"p99 from commit to socket is {p99:.2f} s, more than {P99:g} s")
        costs = never_read(house, session, web)
        print()
        print(table(("never read", "connections", "most memory"), costs))
        for what, _, cost in costs:
            demand(float(cost.split()[0]) <= MOST_MB, f"{what} that never read cost {cost}")


def prepare() -> None:
    """Hold that this machine can tell something: files enough, and two cores for all, not more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    demand(hard >= 2 * VIEWERS, f"ulimit -n is {hard}: {2 * VIEWERS} files are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * VIEWERS, hard))
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def follow(
    house: Installation, story: Story, session: str, web: Web, count: int, seconds: float, poll: float = 0
) -> Seen:
    """Let so many viewers follow the story for so long, and give what they saw."""
    words = ["--port", str(house.port), "--job", story.job, "--count", str(count), "--poll", str(poll)]
    begun, memory = time.monotonic(), web.megabytes
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.watchers", *words],
        cwd=ROOT,
        env=house.env | {"SESSION": session},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as watchers:
        demand(watchers.stdout.readline() == "ready\n", "the viewers could not open their pages")
        opened, memory = time.monotonic() - begun, web.megabytes - memory
        first, cpu, start = len(story.written) + 2, web.seconds, time.monotonic()
        time.sleep(seconds)
        last, spent, took = len(story.written), web.seconds - cpu, time.monotonic() - start
        time.sleep(LATE)  # what is late is late, not lost
        watchers.stdin.close()
        told = json.loads(watchers.stdout.readline())
    marks = {number: one.at for number, one in numbered(story)[first:last]}
    delays = [at - marks[mark] for seen in told["seen"] for mark, at in seen if mark in marks]
    missed = len(marks) * count - len(delays)
    return Seen(count, delays, len(marks), missed, told["gone"], told["bytes"], took, spent, opened, memory)


def numbered(story: Story) -> list:
    """Give each step of the story with the number it shows: they are counted from 1."""
    steps = [one for one in story.written if one.type == "stage:progress"]
    return list(enumerate(steps, 1))


def never_read(house: Installation, session: str, web: Web) -> list[tuple[str, str, str]]:
    """Open sockets and streams of a long job that nobody reads, and give the memory that they cost."""
    with Story(house, "--before", str(NEVER_LOG), rate=NEVER_RATE) as story:
        follow(house, story, session, web, 1, 3.0)  # what the job itself costs is not theirs
        socket_way = (f"/ws/jobs/{story.job}/", {"Cookie": f"sessionid={session}"} | upgrade(house))
        stream_way = (f"/api/jobs/{story.job}/events?detail=all", {"Cookie": f"sessionid={session}"})
        costs = []
        for what, (path, headers) in (("sockets", socket_way), ("streams", stream_way)):
            before = web.megabytes
            with unread(house.port, path, headers, NEVER) as clients:
                cost = most(web, NEVER_SECONDS) - before
                costs.append((what, str(len(clients)), f"{cost:.1f} MB"))
        return costs


def upgrade(house: Installation) -> dict[str, str]:
    """Give the headers of a page that opens its socket."""
    own = {"Origin": house.url, "Upgrade": "websocket", "Connection": "Upgrade"}
    return own | {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


@contextlib.contextmanager
def unread(port: int, path: str, headers: dict[str, str], count: int) -> Iterator[list[socket.socket]]:
    """Ask for something with connections that have little room, and read the first bytes of each answer."""
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


def most(web: Web, seconds: float) -> float:
    """Give the most memory that the web process holds within so many seconds."""
    found, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        found = max(found, web.megabytes)
        time.sleep(0.05)
    return found


if __name__ == "__main__":
    verdict(main)
