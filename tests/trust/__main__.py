"""`make trust`: inject every fault into a campaign and print a table; the exit code is 1 on a failure."""

import argparse
import collections
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.trust import runs
from tests.trust.driver import ROOT, Template
from tests.trust.judge import Verdict
from tests.trust.kills import COMMIT_MODES, MODES, Kill

HEAD = ("kill point", "runs", "lost", "twice", "money", "false", "needs a user", "processes left")
WIDTHS = (68, 5, 5, 6, 6, 6, 14, 16)


def line(cells: tuple) -> str:
    """Return a line of the table."""
    first, *rest = zip(cells, WIDTHS, strict=True)
    return str(first[0]).ljust(first[1]) + "".join(str(cell).rjust(width) for cell, width in rest)


def row(name: str, verdicts: list[Verdict]) -> tuple:
    """Sum up the runs of one mode."""
    return (
        name,
        len(verdicts),
        sum(bool(one.lost) for one in verdicts),
        sum(len(one.duplicates) for one in verdicts),
        sum(one.money for one in verdicts),
        sum(bool(one.false) for one in verdicts),
        sum(one.person for one in verdicts),
        sum(len(one.left) for one in verdicts),
    )


def table(results: list[tuple[Kill, Verdict]]) -> str:
    """Return the table: a line for each mode, and the total."""
    by_mode = collections.defaultdict(list)
    for kill, verdict in results:
        by_mode[kill.mode].append(verdict)
    lines = [line(row(words, by_mode[mode])) for mode, words in MODES.items() if mode in by_mode]
    whole = line(row("total", [verdict for _, verdict in results]))
    rule = "-" * sum(WIDTHS)
    return "\n".join([rule, *lines, rule, whole])


def machine(cases: int) -> str:
    """Run the state machine over this many histories; return "" or what it found."""
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/trust/test_machine.py"]
    with tempfile.TemporaryDirectory(prefix="trust-machine-") as data:
        env = os.environ | {"DATA_DIR": data, "TRUST_CASES": str(cases)}
        done = subprocess.run([*test, "--timeout=3600"], cwd=ROOT, env=env, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout[-6000:]


class Reporter:
    """Prints each fault as soon as it is found, and the progress every 30 seconds."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.faults, self.said = total, 0, 0, time.monotonic()

    def __call__(self, kill: Kill, verdict: Verdict) -> None:
        self.done += 1
        for fault in verdict.faults:
            self.faults += 1
            print(f"FAULT {kill}: {fault}", flush=True)
        if time.monotonic() - self.said > 30:
            self.said = time.monotonic()
            print(f"  {self.done} of {self.total} runs", flush=True)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--subset", action="store_true", help="some of every kind, in a few minutes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--stride", type=int, default=1, help="only every N-th call and commit")
    parser.add_argument("--only", default="", help="a mode, or several with commas; not the state machine")
    parser.add_argument("--cases", type=int, default=0, help="histories of the machine (500; subset 30)")
    return parser.parse_args()


def main() -> int:
    """Run the campaigns and print the results."""
    asked, began = options(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="trust-"))
    template = Template(folder)
    kills = runs.spread(template) if asked.subset else runs.everything(template, asked.seeds, asked.stride)
    if asked.only:
        kills = [kill for kill in kills if kill.mode in asked.only.split(",")]
    size = f"{len(template.steps())} calls, {template.commits} commits a campaign"
    print(f"{size}; {len(kills)} runs", flush=True)
    naive = [verdict for _, verdict in runs.play(template, runs.blind(template), blind=True)]
    reporter = Reporter(len(kills))
    results = runs.play(template, kills, reporter)
    cases = 0 if asked.only else asked.cases or (30 if asked.subset else 500)
    found = machine(cases) if cases else ""
    print(f"\n{line(HEAD)}\n{line(row('control: reconciliation switched off', naive))}")
    print(table(results))
    if cases:
        words = "FAULT" if found else "0 faults"
        print(f"{cases} histories of launch, cancel, kill, resume, retry and resolve: {words}")
    missed = sum(not verdict.injected for kill, verdict in results if kill.mode not in COMMIT_MODES)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{missed} runs had no kill, because their call was never made. {minutes:.0f} minutes.\n{found}",
        end="",
    )
    seen = sum(one.money for one in naive)
    if not seen:
        print("FAULT with reconciliation off no duplicate with money was found: the harness detects nothing")
    if reporter.faults:
        print(f"The runs with faults are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if reporter.faults or found or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
