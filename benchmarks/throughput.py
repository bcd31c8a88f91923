"""Queue two hundred jobs at once, and compare a thousand with a hundred. Run with `-m benchmarks.throughput`.

A real installation over simulated servers that answer in 50 ms. A server is used as long as its permits are
held, from a call's intent to its reply, by the worker's own count. The table also shows how long the server
was busy by its own clock: the difference is writing an intent before each call, and the way there and back.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import simulated
from benchmarks.common import ProcessUsage, calm, cores, demand, installation, table, verdict
from benchmarks.overhead import launch
from tests.e2e.installation import Installation, until

JOBS, EACH = 200, 0.05
#: The busiest server has two permits and four calls a job; the others are asked beside it.
CHAINS, CALLS = ["amazon-dsp", "amazon-dsp", "ttd", "dv360"], 2
BUSIEST = "amazon-dsp"
LIMITS = {"amazon-dsp": 2, "ttd": 4, "dv360": 4}
USED, MORE_MB = 0.95, 50.0
SMALL, LARGE = 100, 1000
WORST = 1.15
WITHIN = 100.0
AT_ONCE = 16
HEAD = ("server", "calls", "at most at once", "limit", "permits held", "by its own clock")


def main() -> None:
    """Run both loads, print their figures, and judge them."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    calm()
    busy()
    print()
    many()


def busy() -> None:
    """Queue two hundred jobs at once; judge the servers' use, the worker's memory and the order of jobs."""
    with tempfile.TemporaryDirectory(prefix="flightplan-throughput-") as place:
        folder = Path(place)
        with site_of(folder, EACH) as site:
            ids = launched(site, CHAINS, CALLS, JOBS)
            watched = Watched(site, time.monotonic())
            until(lambda: watched.ended(JOBS), "all jobs end", WITHIN)
            told = [site.job(id) for id in ids]
            served = simulated.served(folder)
    demand(all(job["status"] == "completed" for job in told), "not every job was completed")
    demand(len(served) == JOBS * len(CHAINS) * CALLS, f"{len(served)} calls came to the servers")
    print(table(HEAD, use(served, watched)))
    spans = [job["timings"]["seconds"] for job in told]
    print(f"\na job took {median(spans):.1f} s, at most {max(spans):.1f} s; {watched.memory}")
    for server, most in peaks(served).items():
        demand(most <= LIMITS[server], f"{server} was called {most} times at once")
    share = watched.held(BUSIEST)
    demand(share >= USED, f"permits of the busiest server were held {100 * share:.1f} % of the time")
    demand(watched.more <= MORE_MB, f"the worker's memory grew by {watched.more:.0f} MB")
    passed = most_passed([job["timings"] for job in told])
    print(f"a job was passed by {passed} younger ones at most")
    # jobs start in the order of their rows, so that none starves: none is passed by a whole batch
    demand(passed < AT_ONCE, f"a job was passed by {passed} younger ones")


def most_passed(timings: Sequence[Mapping[str, str]]) -> int:
    """Return the most younger jobs that started before an older one. A job's age is that of its row: four are
    launched at once, and requests wait for the database in any order."""
    starts = [one["startedAt"] for one in sorted(timings, key=lambda one: one["queuedAt"])]
    return max(sum(start < own for start in starts[place + 1 :]) for place, own in enumerate(starts))


class Watched:
    """A running worker's memory, and its beats, in which it counts for how long permits are held."""

    def __init__(self, site: Installation, since: float) -> None:
        self.since = since
        self._site, self._worker = site, worker_of(site)
        self._megabytes: list[float] = []
        self._beats: list[dict[str, tuple[float, float]]] = []

    def look(self) -> None:
        """Record its memory, and its beat if it has changed."""
        self._megabytes.append(self._worker.megabytes)
        with self._site.database() as database:
            [(servers,)] = database.execute("SELECT servers FROM jobs_workerbeat").fetchall()
        told = {name: (one["held"], one["counted"]) for name, one in json.loads(servers).items()}
        if told not in self._beats[-1:]:
            self._beats.append(told)

    def ended(self, count: int) -> bool:
        """Look once, and return whether `count` jobs have ended."""
        self.look()
        return ended(self._site, count)

    def held(self, server: str) -> float:
        """Return the share of the time between the first and the last beat in which its permits were held."""
        demand(len(self._beats) > 3, "the jobs were over before the worker had counted anything")
        (before, since), (held, until_) = self._beats[0][server], self._beats[-1][server]
        return (held - before) / (LIMITS[server] * (until_ - since))

    @property
    def more(self) -> float:
        """Return how many MB more the worker held in the second half of the time."""
        half = len(self._megabytes) // 2
        return max(self._megabytes[half:]) - max(self._megabytes[:half])

    @property
    def memory(self) -> str:
        """Return a line about the worker's memory."""
        return f"memory of the worker: {max(self._megabytes):.0f} MB, {self.more:+.1f} MB in the second half"


def many() -> None:
    """Run a hundred jobs, then a thousand, of one call each, and compare what one of them costs."""
    with tempfile.TemporaryDirectory(prefix="flightplan-throughput-") as place:
        rows: list[Cost] = []
        with site_of(Path(place), 0.0) as site:
            for count in (SMALL, LARGE):
                rows.append(cost(site, count))
        print(
            table(("jobs queued at once", "a job takes", "worker CPU", "memory"), [row.cells for row in rows])
        )
        ratio = rows[1].cpu / rows[0].cpu
        print(f"\nOne of {LARGE} jobs costs {ratio:.2f} times what one of {SMALL} costs.")
        demand(ratio <= WORST, f"the cost of a job grows: {ratio:.2f} times at {LARGE}")


@dataclass(frozen=True)
class Cost:
    """What one of `count` jobs costs, in seconds; `cpu`: of the worker's processor; `memory`: its MB."""

    count: int
    seconds: float
    cpu: float
    memory: float

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the figures as cells of a table."""
        return (
            str(self.count),
            f"{1000 * self.seconds:.0f} ms",
            f"{1000 * self.cpu:.0f} ms",
            f"{self.memory:.0f} MB",
        )


def cost(site: Installation, count: int) -> Cost:
    """Queue `count` jobs of one call at once, and return what each of them costs."""
    worker = worker_of(site)
    before, spent, begun = ended_now(site), worker.seconds, time.monotonic()
    launched(site, ["ttd"], 1, count)
    until(lambda: ended(site, before + count), f"{count} jobs end", WITHIN)
    took, cpu = time.monotonic() - begun, worker.seconds - spent
    return Cost(count, took / count, cpu / count, worker.megabytes)


def site_of(folder: Path, each: float) -> AbstractContextManager[Installation]:
    """Return an installation over servers that answer in `each` seconds."""
    servers = simulated.servers_file(folder, simulated.Pace(each=each), LIMITS)
    return installation(TOOL_SERVERS=str(servers), DJANGO_SETTINGS_MODULE="benchmarks.plain_settings")


def worker_of(site: Installation) -> ProcessUsage:
    """Return what the worker's process uses."""
    [id] = [id for id, words in site.processes().items() if "manage.py worker" in words]
    return ProcessUsage(id)


def launched(site: Installation, chains: list[str], calls: int, count: int) -> list[str]:
    """Launch `count` jobs as fast as the site accepts them, and return their ids in launch order."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: launch(site, chains, calls), range(count)))


def ended(site: Installation, count: int) -> bool:
    """Return whether `count` jobs have ended."""
    return ended_now(site) >= count


def ended_now(site: Installation) -> int:
    """Return how many jobs have ended, from the database: requests to the site would add to the load."""
    with site.database() as database:
        [count] = database.execute("SELECT count(*) FROM jobs_job WHERE ended_at IS NOT NULL").fetchone()
        return int(count)


def used(served: Sequence[simulated.Served], limit: int) -> float:
    """Return the share of its permits' time that a server handled these calls, from the first to the last."""
    span = max(one.ended for one in served) - min(one.began for one in served)
    return sum(one.seconds for one in served) / (limit * span)


def use(served: Sequence[simulated.Served], watched: Watched) -> list[tuple[str, ...]]:
    """Return for each server its calls, its peak and limit, and how much of its permits' time was used."""
    rows = []
    for server, most in peaks(served).items():
        count = str(sum(one.role == server for one in served))
        # once all are queued: until then the worker shares the database with two hundred launches
        late = [one for one in served if one.role == server and one.began >= watched.since]
        shares = (f"{100 * share:.1f} %" for share in (watched.held(server), used(late, LIMITS[server])))
        rows.append((server, count, str(most), str(LIMITS[server]), *shares))
    return rows


def peaks(served: Sequence[simulated.Served]) -> dict[str, int]:
    """Return the most calls that each server handled at once."""
    return {server: simulated.peak([one for one in served if one.role == server]) for server in LIMITS}


if __name__ == "__main__":
    verdict(main)
