"""A campaign against the bound that no schedule beats, and the first system's plan. `-m benchmarks.makespan`

Real processes: `manage.py up` over simulated servers at the real services' estimated pace, scaled so that a
campaign takes some twelve seconds. The bound is reckoned from what each call really took at its server, as if
whoever ordered them had known. The makespan is from the launch's row to the end of the log.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import baseline, simulated
from benchmarks.house import calm, cores, demand, django, installation, table, verdict
from tests.e2e.installation import Installation

SCALE = 12 / 285  # by the estimates a campaign's bound is 285 s
JITTER, SEED, RUNS = 0.1, 2, 3
MOST, MOST_WITH_JITTER = 1.03, 1.05
FULL = 1.0 / SCALE


@dataclass(frozen=True)
class Run:
    """One campaign: how long it took, what no schedule could beat, and what each server was called for."""

    name: str
    seconds: float
    bound: float
    served: Sequence[simulated.Served]

    @property
    def ratio(self) -> float:
        """Give the makespan as a multiple of the bound."""
        return self.seconds / self.bound

    @property
    def row(self) -> tuple[str, ...]:
        """Give the figures as cells of a table; seconds of the real pace beside those measured."""
        return (
            self.name,
            f"{self.seconds:.2f} s",
            f"{self.bound:.2f} s",
            f"{self.ratio:.3f}",
            f"{self.seconds * FULL:.0f} s",
            f"{sum(call.seconds for call in self.served) * FULL:.0f} s",
        )


HEAD = ("campaign", "makespan", "bound", "ratio", "at full pace", "one after the other")


def main() -> None:
    """Run campaigns with and without jitter, each beside the baseline, print all, and judge the ratios."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    calm()
    steady = campaigns(simulated.Pace(SCALE), 2, "no jitter")
    shaky = campaigns(simulated.Pace(SCALE, JITTER, SEED), RUNS, "jitter")
    limits = {name: role.concurrency for name, role in roles().items()}
    print()
    print(table(HEAD, [run.row for run in (*steady, *shaky)]))
    for last in (steady[-2], steady[-1], shaky[-2], shaky[-1]):
        print(f"\n{last.name}:")
        print(table(("server", "calls", "at most at once", "limit", "of its time"), use(last, limits)))
        for server, most in peaks(last).items():
            demand(most <= limits[server], f"{server} was called {most} times at once")
    best, shaken = steady[-2].ratio, median(run.ratio for run in shaky[:-1])
    faster = steady[-1].seconds / steady[-2].seconds
    print(f"\nFlightplan is {faster:.2f} times as fast as the first system's plan.")
    demand(best <= MOST, f"without jitter the ratio is {best:.3f}, more than {MOST}")
    demand(shaken <= MOST_WITH_JITTER, f"with jitter the ratio is {shaken:.3f}, more than {MOST_WITH_JITTER}")


def campaigns(pace: simulated.Pace, count: int, name: str) -> list[Run]:
    """Run campaigns one after the other on a new installation, then the baseline over the same servers.

    The first one knows the declared durations only, the others what it learned.
    """
    with tempfile.TemporaryDirectory(prefix="flightplan-makespan-") as place:
        folder = Path(place)
        servers = simulated.servers_file(folder, pace)
        with installation(TOOL_SERVERS=str(servers)) as house:
            planned = plan(house)
            runs = []
            for number in range(count):
                words = "declared" if not number else "learned"
                runs.append(campaign(house, folder, planned, f"{name}, {words} durations"))
            # in its place, for pictures are saved in the folder of its dry run
            return [*runs, first_system(servers, folder, planned, f"{name}, the first system's plan")]


def plan(house: Installation) -> list[baseline.Wanted]:
    """Give the calls of a campaign, out of a dry run: what each of them waits for is in their made-up ids."""
    dry = house.ended(house.post("aurora-one", dryRun=True).json()["jobId"])
    demand(dry["status"] == "completed", f"the dry run ended {dry['status']}")
    calls = [call | {"stage": stage["id"]} for stage in dry["stages"] for call in stage["calls"]]
    needs = waits_of(calls)
    return [
        baseline.Wanted(
            call["stage"],
            call["step"],
            call["item"],
            call["server"],
            call["tool"],
            call["arguments"],
            frozenset(needs[call["step"]]),
        )
        for call in calls
    ]


def waits_of(calls: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Give for each step the steps that it waits for, as the product's own dry run reckons with them."""
    django()
    from campaigns.workflow import LIFECYCLE
    from jobs.engine.estimate import PlannedCall, waits
    from jobs.tools.dry_run import steps_in

    planned = [
        PlannedCall(
            call["stage"],
            call["step"],
            call["server"],
            call["tool"],
            0.0,
            call["item"],
            tuple(steps_in(call["arguments"])),
        )
        for call in calls
    ]
    return waits(LIFECYCLE, planned)


def roles() -> Mapping[str, Any]:
    """Give the roles of the product."""
    django()
    from campaigns.roles import ROLES

    return ROLES


def campaign(house: Installation, folder: Path, planned: Sequence[baseline.Wanted], name: str) -> Run:
    """Launch a campaign and follow it to its end."""
    since = time.monotonic()
    job = house.ended(house.launch(search=False))
    demand(job["status"] == "completed", f"the campaign ended {job['status']}")
    begin, end = (datetime.fromisoformat(job["timings"][name]) for name in ("queuedAt", "endedAt"))
    seconds = (end - begin).total_seconds()
    served = made_once(simulated.served(folder, since))
    steps = steps_by_key(house, job["jobId"])
    return Run(name, seconds, bound(planned, {steps[one.key]: one.seconds for one in served}), served)


def first_system(servers: Path, folder: Path, planned: Sequence[baseline.Wanted], name: str) -> Run:
    """Make the same calls by the first system's plan."""
    since = time.monotonic()
    limits = {server: role.concurrency for server, role in roles().items()}
    seconds = baseline.run(planned, servers, roles(), limits)
    served = made_once(simulated.served(folder, since))
    return Run(name, seconds, bound(planned, {one.key.split()[1]: one.seconds for one in served}), served)


def made_once(served: list[simulated.Served]) -> list[simulated.Served]:
    """Hold that no call was made twice: the bound would count it once."""
    demand(len({one.key for one in served}) == len(served), "a call was made twice")
    return served


def bound(planned: Sequence[baseline.Wanted], seconds: Mapping[str, float]) -> float:
    """Give what no order of these calls could beat, by what they really took."""
    from jobs.engine.bound import bound as least

    demand({call.step for call in planned} == set(seconds), "other calls were made than a dry run plans")
    place = {call.step: number for number, call in enumerate(planned)}
    at: dict[str, list[int]] = {}
    for call in planned:
        at.setdefault(call.server, []).append(place[call.step])
    needs = [{place[need] for need in call.needs} for call in planned]
    permits = {server: roles()[server].concurrency for server in at}
    return least([seconds[call.step] for call in planned], needs, at, permits)


def steps_by_key(house: Installation, job: str) -> dict[str, str]:
    """Give the step of each effect's key."""
    with house.database() as database:
        rows = database.execute(
            "SELECT key, step FROM jobs_toolcall WHERE job_id = ?", (job.replace("-", ""),)
        )
        return dict(rows.fetchall())


def peaks(run: Run) -> dict[str, int]:
    """Give the most calls that each server had in hand at once."""
    servers = sorted({call.role for call in run.served})
    return {name: simulated.peak(call for call in run.served if call.role == name) for name in servers}


def use(run: Run, limits: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Give for each server its calls, its peak, its limit, and the share of its permits' time in use."""
    rows = []
    for server, most in peaks(run).items():
        mine = [call for call in run.served if call.role == server]
        share = sum(call.seconds for call in mine) / limits[server] / run.seconds
        rows.append((server, str(len(mine)), str(most), str(limits[server]), f"{100 * share:.0f} %"))
    return rows


if __name__ == "__main__":
    verdict(main)
