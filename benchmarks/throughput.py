"""Two hundred jobs queued at once on one worker; what one of a thousand costs. `-m benchmarks.throughput`

A real installation over simulated servers that answer in 50 ms. Used is what the busiest server has in hand
by its own clock, of what its permits allow, from the first job's first call to the last one's.
"""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import simulated
from benchmarks.house import cores, demand, installation, table, verdict
from benchmarks.overhead import launch
from benchmarks.viewers import Web
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


def main() -> None:
    """Run both loads, print what came of them, and judge it."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    busy()
    print()
    many()


def busy() -> None:
    """Queue two hundred jobs at once, and watch the servers, the worker's memory, and who waits how long."""
    with tempfile.TemporaryDirectory(prefix="flightplan-throughput-") as place:
        folder = Path(place)
        with house_of(folder, EACH) as house:
            worker, samples = worker_of(house), []
            ids = launched(house, CHAINS, CALLS, JOBS)
            until(lambda: samples.append(worker.megabytes) or ended(house, JOBS), "all jobs end", WITHIN)
            told = [house.job(id) for id in ids]
            served = simulated.served(folder)
        demand(all(job["status"] == "completed" for job in told), "not every job was completed")
        demand(len(served) == JOBS * len(CHAINS) * CALLS, f"{len(served)} calls came to the servers")
        print(table(("server", "calls", "at most at once", "limit", "of its time"), use(served)))
        half = len(samples) // 2
        more = max(samples[half:]) - max(samples[:half])
        starts = [job["timings"]["startedAt"] for job in told]
        spans = [job["timings"]["seconds"] for job in told]
        print(
            f"\nmemory of the worker: {max(samples[:half]):.0f} MB at most in the first half of the time,",
            end=" ",
        )
        print(f"{more:+.1f} MB in the second; a job took {median(spans):.1f} s, at most {max(spans):.1f} s")
        for server, most in peaks(served).items():
            demand(most <= LIMITS[server], f"{server} was called {most} times at once")
        share = used(served, BUSIEST)
        demand(
            share >= USED, f"the busiest server was used {100 * share:.1f} %, less than {100 * USED:.0f} %"
        )
        demand(more <= MORE_MB, f"the worker's memory grew by {more:.0f} MB")
        demand(starts == sorted(starts), "a younger job started before an older one")


def many() -> None:
    """Run a hundred jobs, then a thousand, of one call each, and compare what one of them costs."""
    with tempfile.TemporaryDirectory(prefix="flightplan-throughput-") as place:
        rows: list[Cost] = []
        with house_of(Path(place), 0.0) as house:
            for count in (SMALL, LARGE):
                rows.append(cost(house, count))
        print(
            table(("jobs queued at once", "a job takes", "worker CPU", "memory"), [row.cells for row in rows])
        )
        ratio = rows[1].cpu / rows[0].cpu
        print(f"\nOne of {LARGE} jobs costs {ratio:.2f} times what one of {SMALL} costs.")
        demand(ratio <= WORST, f"the cost of a job grows: {ratio:.2f} times at {LARGE}")


@dataclass(frozen=True)
class Cost:
    """What one of so many jobs costs: seconds of the clock and of the worker's processor; its MB."""

    count: int
    seconds: float
    cpu: float
    memory: float

    @property
    def cells(self) -> tuple[str, ...]:
        """Give the figures as cells of a table."""
        return (
            str(self.count),
            f"{1000 * self.seconds:.0f} ms",
            f"{1000 * self.cpu:.0f} ms",
            f"{self.memory:.0f} MB",
        )


def cost(house: Installation, count: int) -> Cost:
    """Queue so many jobs of one call at once, and give what each of them costs."""
    worker = worker_of(house)
    before, spent, begun = ended_now(house), worker.seconds, time.monotonic()
    launched(house, ["ttd"], 1, count)
    until(lambda: ended(house, before + count), f"{count} jobs end", WITHIN)
    took, cpu = time.monotonic() - begun, worker.seconds - spent
    return Cost(count, took / count, cpu / count, worker.megabytes)


def house_of(folder: Path, each: float):
    """Give an installation over servers that answer in so many seconds."""
    servers = simulated.servers_file(folder, simulated.Pace(each=each), LIMITS)
    return installation(TOOL_SERVERS=str(servers), DJANGO_SETTINGS_MODULE="benchmarks.plain_settings")


def worker_of(house: Installation) -> Web:
    """Give the worker's process, as the kernel counts it."""
    [id] = [id for id, words in house.processes().items() if "manage.py worker" in words]
    return Web(id)


def launched(house: Installation, chains: list[str], calls: int, count: int) -> list[str]:
    """Launch so many jobs as fast as the site takes them, and give their ids in order of their launches."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: launch(house, chains, calls), range(count)))


def ended(house: Installation, count: int) -> bool:
    """Tell whether so many jobs have ended."""
    return ended_now(house) >= count


def ended_now(house: Installation) -> int:
    """Count the jobs that have ended, in the database itself: asking the site would be a load of its own."""
    with house.database() as database:
        [count] = database.execute("SELECT count(*) FROM jobs_job WHERE ended_at IS NOT NULL").fetchone()
        return int(count)


def used(served: Sequence[simulated.Served], server: str) -> float:
    """Give the share of its permits' time that a server had calls in hand, from its first to its last."""
    mine = [one for one in served if one.role == server]
    span = max(one.ended for one in mine) - min(one.began for one in mine)
    return sum(one.seconds for one in mine) / (LIMITS[server] * span)


def use(served: Sequence[simulated.Served]) -> list[tuple[str, ...]]:
    """Give for each server its calls, its peak, its limit, and the share of its permits' time in use."""
    rows = []
    for server, most in peaks(served).items():
        count = sum(one.role == server for one in served)
        share = used(served, server)
        rows.append((server, str(count), str(most), str(LIMITS[server]), f"{100 * share:.1f} %"))
    return rows


def peaks(served: Sequence[simulated.Served]) -> dict[str, int]:
    """Give the most calls that each server had in hand at once."""
    return {server: simulated.peak([one for one in served if one.role == server]) for server in LIMITS}


if __name__ == "__main__":
    verdict(main)
