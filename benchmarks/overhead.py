"""Measure what Flightplan adds to a call. Run with `-m benchmarks.overhead`.

Sixteen jobs at once on a real installation with the default SQLite; each makes one call after another. A call
costs the time in its stage from the request to the reply, less what its server took by its own clock.
"""

import tempfile
from pathlib import Path

from benchmarks import simulated
from benchmarks.common import calm, cores, demand, installation, quantile, set_up_django, table, verdict
from tests.e2e.installation import Installation

JOBS, CALLS = 16, 40
SERVER, SERVER_SECONDS = "ttd", 0.25
JITTER = 0.5  # without it all sixteen jobs would call in the same moment, again and again
#: What the document promises, in seconds.
MEDIAN, P99 = 0.010, 0.030
HEAD = ("a call costs", "calls", "p50", "p99", "max", "calls a second")


def main() -> None:
    """Measure calls of sixteen jobs at once, print what they cost, and judge it."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    calm()
    costs, seconds = measured()
    median, p99 = quantile(costs, 0.5), quantile(costs, 0.99)
    figures = (f"{cost * 1000:.1f} ms" for cost in (median, p99, max(costs)))
    name = f"{JOBS} jobs, servers of {SERVER_SECONDS * 1000:.0f} ms"
    print()
    print(table(HEAD, [(name, str(len(costs)), *figures, f"{len(costs) / seconds:.0f}")]))
    demand(median <= MEDIAN, f"the median is {median * 1000:.1f} ms, more than {MEDIAN * 1000:.0f}")
    demand(p99 <= P99, f"the 99th percentile is {p99 * 1000:.1f} ms, more than {P99 * 1000:.0f}")


def measured() -> tuple[list[float], float]:
    """Run the jobs; return what each call cost while all of them were running, and for how long they were, in
    seconds."""
    with tempfile.TemporaryDirectory(prefix="flightplan-overhead-") as place:
        folder = Path(place)
        pace = simulated.Pace(each=SERVER_SECONDS, jitter=JITTER)
        servers = simulated.servers_file(folder, pace, {SERVER: JOBS})
        with installation(
            TOOL_SERVERS=str(servers), DJANGO_SETTINGS_MODULE="benchmarks.plain_settings"
        ) as site:
            require_durability(site)
            ids = [launch(site, [SERVER], CALLS) for _ in range(JOBS)]
            for id in ids:
                job = site.ended(id)
                demand(job["status"] == "completed", f"a job ended {job['status']}")
            served = simulated.served(folder)
            demand(len(served) == JOBS * CALLS, f"{len(served)} calls came to the server")
            return together([costs_of(site.data / "jobs" / id / "costs.txt") for id in ids])


def costs_of(file: Path) -> list[tuple[float, float]]:
    """Return a job's calls, each as the moment of its request and its cost in seconds."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return [(float(began), float(cost)) for began, cost in lines]


def together(jobs: list[list[tuple[float, float]]]) -> tuple[list[float], float]:
    """Return the costs of the calls made while all jobs were running, and for how many seconds they were.

    While jobs are still being launched, fewer of them run.
    """
    since, until = max(min(job)[0] for job in jobs), min(max(job)[0] for job in jobs)
    costs = [cost for job in jobs for began, cost in job if since <= began <= until]
    demand(len(costs) > JOBS * CALLS / 2, "the jobs hardly ran at the same time")
    return costs, until - since


def launch(site: Installation, chains: list[str], calls: int) -> str:
    """Launch a job of plain calls, and return its id."""
    answer = site.api.post("/api/workflows/plain/start", json={"chains": chains, "calls": calls})
    demand(answer.status_code == 202, f"a launch was answered {answer.status_code}: {answer.text[:300]}")
    return str(answer.json()["jobId"])


def require_durability(site: Installation) -> None:
    """Raise Unmet unless the installation runs on SQLite in WAL mode with synchronous=FULL."""
    set_up_django()
    from django.conf import settings

    command = settings.DATABASES["default"]["OPTIONS"]["init_command"].lower()
    demand("synchronous=full" in command.replace(" ", ""), "the database is not set to full durability")
    with site.database() as database:
        [mode] = database.execute("PRAGMA journal_mode").fetchone()
    demand(mode == "wal", f"the database is in {mode} mode")


if __name__ == "__main__":
    verdict(main)
