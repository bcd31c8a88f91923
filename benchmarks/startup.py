"""Measure how soon `manage.py up`, its servers and its jobs are ready. Run with `-m benchmarks.startup`.

Real processes from an empty folder, then on the database that they left. A job's start takes from the
answer to its launch until its first `stage:start` arrives by the API's stream.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import django

from benchmarks.common import SOON, calm, cores, demand, quantile, table, verdict
from jobs.tools.contract.spec import ServerSpec
from tests.e2e.installation import Installation

READY, START = 5.0, 0.5
STARTS = 3  # on a fresh database, and as often on an existing one
LAUNCHES = 8
CONNECTS = 3
SIDE_BY_SIDE = 0.75  # of the sum, at most: two cores share the processor time that eight processes need
SERVERS = 8
HEAD = ("what", "times", "p50", "max", "promised", "of the promise")


def main() -> None:
    """Start installations, launch jobs, connect the servers both ways; print the figures and judge them."""
    demand(cores() >= 2, "one core is not enough: web and worker start side by side")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory(prefix="flightplan-bench-") as folder:
        imported(Path(folder))
        fresh, again, cold, warm = started(Path(folder))
        together, alone = asyncio.run(connected())
    rows = [
        row("up to /readyz, no database yet", fresh, READY),
        row("up to /readyz, existing database", again, READY),
        row("202 to stage:start, right after ready", cold, START),
        row("202 to stage:start, sessions warm", warm, START),
    ]
    print()
    print(table(HEAD, rows))
    best, total = min(together), min(alone)
    print(f"\n{SERVERS} tool servers connected side by side in {best:.2f} s, one after the other in", end=" ")
    print(f"{total:.2f} s: {best / total:.2f} of the sum (best of {CONNECTS} each)")
    for name, times, most in (("ready", fresh + again, READY), ("started", cold + warm, START)):
        demand(max(times) <= most, f"{name} only after {max(times):.2f} s, more than {most:g} s")
    demand(best <= SIDE_BY_SIDE * total, "the servers are not connected side by side")


def row(what: str, times: list[float], most: float) -> tuple[str, ...]:
    """Return the figures of one promise as cells of a table."""
    p50, worst = quantile(times, 0.5), max(times)
    spread = (f"{p50:.2f} s", f"{worst:.2f} s", f"{most:g} s", f"{p50 / most:.2f} to {worst / most:.2f}")
    return (what, str(len(times)), *spread)


def imported(folder: Path) -> None:
    """Compile and read the code once: the promise is not for the first start after an installation."""
    env = os.environ | {"DATA_DIR": str(folder / "none")}
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    demand(done.returncode == 0, f"the code cannot be started: {done.stderr[-500:]}")


def started(folder: Path) -> tuple[list[float], ...]:
    """Return the seconds to ready without and with a database, and to start a job right after and later."""
    fresh, again, cold, warm = [], [], [], []
    for number in range(STARTS):
        root = folder / f"installation-{number}"
        demand(not root.exists(), "the database is not fresh")
        with ready(root) as (_, seconds):
            fresh.append(seconds)
        with ready(root) as (site, seconds):
            again.append(seconds)
            cold.append(start_of(site))
            processes = servers_of(site)
            warm += [start_of(site) for _ in range(LAUNCHES)]
            demand(servers_of(site) == processes, "a job did not find its sessions warm")
    return fresh, again, cold, warm


@contextmanager
def ready(root: Path) -> Iterator[tuple[Installation, float]]:
    """Run an installation until the block ends; yield it with the seconds until it was ready."""
    calm()
    begun = time.monotonic()
    with Installation(root) as site:
        yield site, time.monotonic() - begun


def start_of(site: Installation) -> float:
    """Launch a job and wait for its end; return the seconds from its 202 to its first `stage:start`."""
    job = site.launch()
    answered, started_at = time.monotonic(), 0.0
    for event in site.stream(job):
        if event["type"] == "stage:start" and not started_at:
            started_at = time.monotonic()
    demand(started_at, "no stage of the job ever started")
    demand(site.job(job)["status"] == "completed", "the job did not complete")
    return started_at - answered


def servers_of(site: Installation) -> set[int]:
    """Return the ids of the tool servers' processes. Raises Unmet unless there are SERVERS of them."""
    found = {id for id, words in site.processes().items() if "campaigns.servers" in words}
    demand(len(found) == SERVERS, f"{len(found)} tool servers run, not {SERVERS}")
    return found


async def connected() -> tuple[list[float], list[float]]:
    """Connect the bundled servers all at once and one after the other; return the seconds of each time."""
    together, alone = [], []
    with tempfile.TemporaryDirectory(prefix="flightplan-bench-") as folder:
        os.environ |= {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "TOOL_SERVERS": ""}
        django.setup()
        from jobs.registry import tool_servers

        specs = tool_servers()
        demand(len(specs) == SERVERS, f"there are {len(specs)} bundled servers, not {SERVERS}")
        for _ in range(CONNECTS):
            together.append(await opened(specs))
            alone.append(sum([await opened({name: spec}) for name, spec in specs.items()]))
    return together, alone


async def opened(specs: Mapping[str, ServerSpec]) -> float:
    """Open a gateway to these servers and return the seconds until all of them list their tools."""
    from campaigns.roles import ROLES
    from jobs.tools.gateway import Gateway

    gateway = Gateway(specs, ROLES)
    begun = time.monotonic()
    gateway.start()
    try:
        while not all(status.connected and status.tools for status in gateway.status().values()):
            errors = [status.last_error for status in gateway.status().values() if status.last_error]
            demand(time.monotonic() < begun + SOON, f"not all servers connect: {errors}")
            await asyncio.sleep(0.005)
        return time.monotonic() - begun
    finally:
        await gateway.aclose()


if __name__ == "__main__":
    verdict(main)
