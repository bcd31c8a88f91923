"""Compare a campaign's makespan with the bound that no schedule beats. Run with `-m benchmarks.makespan`.

Real processes: `manage.py up` over simulated servers at the real services' estimated pace, scaled so that a
campaign takes about twelve seconds. The bound is computed from what each call really took at its server. The
makespan is from the launch's row to the end of the log.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import simulated
from benchmarks.common import calm, cores, demand, installation, set_up_django, table, verdict
from campaigns.roles import ROLES
from jobs.engine.bound import bound
from jobs.engine.estimate import PlannedCall, waits
from tests.e2e.installation import Installation

SCALE = 12 / 285  # by the estimates a campaign's bound is 285 s
JITTER, SEED, RUNS = 0.1, 2, 3
#: What the document promises, as multiples of the bound.
MOST, MOST_WITH_JITTER = 1.03, 1.05
FULL = 1.0 / SCALE
LIMITS = {name: role.concurrency for name, role in ROLES.items()}


@dataclass(frozen=True)
class Plan:
    """The calls of a campaign, and for each step the steps that it waits for."""

    calls: Sequence[PlannedCall]
    needs: Mapping[str, set[str]]


@dataclass(frozen=True)
class Run:
    """One campaign: its makespan and its bound in seconds, and the calls that the servers saw."""

    name: str
    seconds: float
    bound: float
    served: Sequence[simulated.Served]

    @property
    def ratio(self) -> float:
        """Return the makespan as a multiple of the bound."""
        return self.seconds / self.bound

    @property
    def row(self) -> tuple[str, ...]:
        """Return the figures as cells of a table; the last two are scaled up to the real pace."""
        return (
            self.name,
            f"{self.seconds:.2f} s",
            f"{self.bound:.2f} s",
            f"{self.ratio:.3f}",
            f"{self.seconds * FULL:.0f} s",
            f"{sum(call.seconds for call in self.served) * FULL:.0f} s",
        )


HEAD = ("campaign", "makespan", "bound", "ratio", "at full pace", "one call at a time")


def main() -> None:
    """Run campaigns with and without jitter, print their figures, and judge the ratios."""
    demand(cores() >= 2, "one core is not enough: the promise is for two")
    calm()
    steady = campaigns(simulated.Pace(SCALE), 2, "no jitter")
    shaky = campaigns(simulated.Pace(SCALE, JITTER, SEED), RUNS, "jitter")
    print()
    print(table(HEAD, [run.row for run in (*steady, *shaky)]))
    for last in (steady[-1], shaky[-1]):
        print(f"\n{last.name}:")
        print(table(("server", "calls", "at most at once", "limit", "of its time"), use(last)))
        for server, most in peaks(last).items():
            demand(most <= LIMITS[server], f"{server} was called {most} times at once")
    best, shaken = steady[-1].ratio, median(run.ratio for run in shaky)
    demand(best <= MOST, f"without jitter the ratio is {best:.3f}, more than {MOST}")
    demand(shaken <= MOST_WITH_JITTER, f"with jitter the ratio is {shaken:.3f}, more than {MOST_WITH_JITTER}")


def campaigns(pace: simulated.Pace, count: int, name: str) -> list[Run]:
    """Run campaigns one after the other on a new installation.

    The first one uses the declared durations, the others what was learned from those before.
    """
    with tempfile.TemporaryDirectory(prefix="flightplan-makespan-") as place:
        folder = Path(place)
        servers = simulated.servers_file(folder, pace)
        with installation(TOOL_SERVERS=str(servers)) as site:
            planned = plan(site)
            durations = ["declared", *["learned"] * (count - 1)]
            return [campaign(site, folder, planned, f"{name}, {word} durations") for word in durations]


def plan(site: Installation) -> Plan:
    """Return the calls of a campaign from a dry run: their made-up ids show what each of them waits for."""
    dry = site.ended(site.post("aurora-one", dryRun=True).json()["jobId"])
    demand(dry["status"] == "completed", f"the dry run ended {dry['status']}")
    set_up_django()
    from campaigns.workflow import LIFECYCLE

    calls = [planned(stage["id"], call) for stage in dry["stages"] for call in stage["calls"]]
    return Plan(calls, waits(LIFECYCLE, calls))


def planned(stage: str, call: Mapping[str, Any]) -> PlannedCall:
    """Return a call of the API's answer as the engine's estimate takes it."""
    from jobs.tools.dry_run import steps_in

    after = tuple(steps_in(call["arguments"]))
    return PlannedCall(stage, call["step"], call["server"], call["tool"], 0.0, call["item"], after)


def campaign(site: Installation, folder: Path, planned: Plan, name: str) -> Run:
    """Launch a campaign and follow it to its end. Raises Unmet when it fails or makes a call twice."""
    since = time.monotonic()
    job = site.ended(site.launch(search=False))
    demand(job["status"] == "completed", f"the campaign ended {job['status']}")
    begin, end = (datetime.fromisoformat(job["timings"][name]) for name in ("queuedAt", "endedAt"))
    served = simulated.served(folder, since)
    demand(len({one.key for one in served}) == len(served), "a call was made twice: the bound counts it once")
    steps = steps_by_key(site, job["jobId"])
    least = bound_of(planned, {steps[one.key]: one.seconds for one in served})
    return Run(name, (end - begin).total_seconds(), least, served)


def bound_of(planned: Plan, seconds: Mapping[str, float]) -> float:
    """Return the seconds that no order of these calls could beat, from what each step really took."""
    demand({call.step for call in planned.calls} == set(seconds), "other calls were made than planned")
    place = {call.step: number for number, call in enumerate(planned.calls)}
    at: dict[str, list[int]] = {}
    for call in planned.calls:
        at.setdefault(call.server, []).append(place[call.step])
    needs = [{place[need] for need in planned.needs[call.step]} for call in planned.calls]
    permits = {server: LIMITS[server] for server in at}
    return bound([seconds[call.step] for call in planned.calls], needs, at, permits)


def steps_by_key(site: Installation, job: str) -> dict[str, str]:
    """Return the step of each effect's key."""
    with site.database() as database:
        rows = database.execute(
            "SELECT key, step FROM jobs_toolcall WHERE job_id = ?", (job.replace("-", ""),)
        )
        return dict(rows.fetchall())


def peaks(run: Run) -> dict[str, int]:
    """Return the most calls that each server handled at once."""
    servers = sorted({call.role for call in run.served})
    return {name: simulated.peak(call for call in run.served if call.role == name) for name in servers}


def use(run: Run) -> list[tuple[str, ...]]:
    """Return for each server its calls, its peak, its limit, and the share of its permits' time in use."""
    rows: list[tuple[str, ...]] = []
    for server, most in peaks(run).items():
        mine = [call for call in run.served if call.role == server]
        share = sum(call.seconds for call in mine) / LIMITS[server] / run.seconds
        rows.append((server, str(len(mine)), str(most), str(LIMITS[server]), f"{100 * share:.0f} %"))
    return rows


if __name__ == "__main__":
    verdict(main)
