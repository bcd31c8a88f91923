"""What Flightplan adds to a call, and what a process a call costs beside it. `-m benchmarks.overhead`

Sixteen jobs at once on a real installation with the default SQLite; each makes one call after another. A call
costs what passes in its stage from asking to the reply, less what its server took by its own clock.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import simulated
from benchmarks.house import calm, cores, demand, installation, quantile, table, verdict
from jobs.tools.contract.config import load_servers
from jobs.tools.contract.policy import Role
from jobs.tools.wire.session import Session
from tests.e2e.installation import Installation

JOBS, CALLS = 16, 40
#: Seconds that the servers take: a sixteenth of what real ones do would be 1 to 7.
PACES = (0.5, 0.25, 0.1)
JUDGED = 0.25
JITTER = 0.5  # else all sixteen would ask in the same moment, again and again
MEDIAN, P99 = 0.010, 0.030
SERVER, TOOL, ARGS = "ttd", "create_campaign", {"name": "Line", "budget": 10}
PROCESSES, MCPORTER_CALLS = 20, 8
ROLE = {SERVER: Role(SERVER, JOBS, {})}


def main() -> None:
    """Measure our own calls at several paces, then a process a call, print all, and judge ours."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    calm()
    rows, judged = [], []
    for pace in PACES:
        costs, seconds = ours(pace)
        rows.append(
            row(f"Flightplan, {JOBS} jobs, servers of {pace * 1000:.0f} ms", costs, len(costs) / seconds)
        )
        if pace == JUDGED:
            judged = costs
    process, mcporter = a_process_a_call(), with_mcporter()
    rows.append(row("a server process a call", process))
    if mcporter:
        rows.append(row("mcporter, a process a call", mcporter))
    print()
    print(table(("a call costs", "calls", "p50", "p99", "most", "calls a second"), rows))
    if not mcporter:
        print("\nmcporter: skipped, for it is not installed here (npm install -g mcporter)")
    median, p99 = quantile(judged, 0.5), quantile(judged, 0.99)
    print(f"\nA process a call costs {quantile(process, 0.5) / median:.0f} times as much.")
    demand(median <= MEDIAN, f"the median is {median * 1000:.1f} ms, more than {MEDIAN * 1000:.0f}")
    demand(p99 <= P99, f"the 99th percentile is {p99 * 1000:.1f} ms, more than {P99 * 1000:.0f}")


def row(name: str, costs: list[float], rate: float = 0.0) -> tuple[str, ...]:
    """Give the figures as cells of a table."""
    shares = (f"{quantile(costs, share) * 1000:.1f} ms" for share in (0.5, 0.99, 1))
    return (name, str(len(costs)), *shares, f"{rate:.0f}" if rate else "one at a time")


def ours(pace: float) -> tuple[list[float], float]:
    """Let sixteen jobs make their calls at once; give what each call cost while all of them were at work, and
    for how many seconds they were."""
    with tempfile.TemporaryDirectory(prefix="flightplan-overhead-") as place:
        folder = Path(place)
        servers = simulated.servers_file(folder, simulated.Pace(each=pace, jitter=JITTER), {SERVER: JOBS})
        with installation(
            TOOL_SERVERS=str(servers), DJANGO_SETTINGS_MODULE="benchmarks.plain_settings"
        ) as house:
            durable(house)
            ids = [launch(house, [SERVER], CALLS) for _ in range(JOBS)]
            for id in ids:
                job = house.ended(id)
                demand(job["status"] == "completed", f"a job ended {job['status']}")
            served = simulated.served(folder)
            demand(len(served) == JOBS * CALLS, f"{len(served)} calls came to the server")
            files = [house.data / "jobs" / id / "costs.txt" for id in ids]
            jobs = [
                [tuple(map(float, line.split())) for line in file.read_text().splitlines()] for file in files
            ]
    return together(jobs)


def together(jobs: list[list[tuple[float, ...]]]) -> tuple[list[float], float]:
    """Give what calls cost that were asked for while all jobs were at work, and for how long they were; each
    job's calls are given as moment and cost. While jobs are still being launched there are fewer at once."""
    since, until = max(min(job)[0] for job in jobs), min(max(job)[0] for job in jobs)
    costs = [cost for job in jobs for began, cost in job if since <= began <= until]
    demand(len(costs) > JOBS * CALLS / 2, "the jobs were hardly at work at the same time")
    return costs, until - since


def launch(house: Installation, chains: list[str], calls: int) -> str:
    """Launch a job of plain calls, and give its id."""
    answer = house.api.post("/api/workflows/plain/start", json={"chains": chains, "calls": calls})
    demand(answer.status_code == 202, f"a launch was answered {answer.status_code}: {answer.text[:300]}")
    return str(answer.json()["jobId"])


def durable(house: Installation) -> None:
    """Hold that the installation runs on SQLite in WAL mode; its settings ask for synchronous=FULL."""
    from benchmarks.house import django

    django()
    from django.conf import settings

    command = settings.DATABASES["default"]["OPTIONS"]["init_command"].lower()
    demand("synchronous=full" in command.replace(" ", ""), "the database is not asked for full durability")
    with house.database() as database:
        [mode] = database.execute("PRAGMA journal_mode").fetchone()
    demand(mode == "wal", f"the database is in {mode} mode")


def a_process_a_call() -> list[float]:
    """Give what a call costs whose server is started for it and ended after it."""

    async def calls(servers: Path) -> list[float]:
        costs = []
        for _ in range(PROCESSES):
            began = time.monotonic()
            session = Session(load_servers(servers, ROLE, {})[SERVER])
            result = await session.call(TOOL, ARGS, meta={}, timeout=20)
            await session.aclose()
            costs.append(time.monotonic() - began - own(result.content[0].text))
        return costs

    return over_servers(lambda servers: asyncio.run(calls(servers)))


def with_mcporter() -> list[float]:
    """Give what a call by mcporter costs, as the first system made them; nothing where there is none."""
    program = shutil.which("mcporter")
    if program is None:
        return []

    def calls(servers: Path) -> list[float]:
        costs = []
        words = [program, "--config", str(servers), "call", f"{SERVER}.{TOOL}", "--args", json.dumps(ARGS)]
        for _ in range(MCPORTER_CALLS):
            began = time.monotonic()
            told = subprocess.run([*words, "--output", "json"], capture_output=True, text=True, timeout=60)
            demand(told.returncode == 0, f"mcporter failed: {told.stderr[-300:]}")
            costs.append(time.monotonic() - began)
        return costs

    return over_servers(calls)


def over_servers(calls: Callable[[Path], list[float]]) -> list[float]:
    """Make calls over a servers file whose servers answer at once."""
    with tempfile.TemporaryDirectory(prefix="flightplan-overhead-") as place:
        return calls(simulated.servers_file(Path(place), simulated.Pace(each=0.0), roles=[SERVER]))


def own(answer: str) -> float:
    """Give the seconds that the server itself took."""
    return float(json.loads(answer)["seconds"])


if __name__ == "__main__":
    verdict(main)
