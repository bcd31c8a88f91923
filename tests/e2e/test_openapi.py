"""Schemathesis against a running installation: every check, every phase, a fixed seed."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.slow, pytest.mark.long]
CONFIG = Path(__file__).with_name("schemathesis.toml")
WITHIN = 270.0
LAUNCHES = ("POST /api/workflows/campaign-lifecycle-demo", "POST /api/workflows/{workflow_id}/start")


@pytest.fixture(scope="module")
def house(start: Start) -> Installation:
    """An installation whose bundled servers answer at once, so that no job, and no stream of one, is long."""
    return start()


def looked_at(house: Installation, folder: Path) -> dict[str, Any]:
    """Let Schemathesis look at the API with every right that a token can have; give its report."""
    token, report = house.token("read", "launch", "spend"), folder / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run"]
    command += [f"{house.url}/api/openapi.json", "--header", f"Authorization: Bearer {token}"]
    command += ["--checks", "all", "--report", "json", "--report-json-path", str(report)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, f"{done.stdout[-8000:]}{done.stderr[-2000:]}"
    return dict(json.loads(report.read_text()))


def test_schemathesis_finds_nothing(house: Installation, tmp_path: Path):
    told = looked_at(house, tmp_path)
    document = house.api.get("/api/openapi.json").json()
    count = sum(len(methods) for methods in document["paths"].values())
    assert told["complete"]
    assert (told["operations"]["tested"], told["operations"]["skipped"]) == (count, 0)
    assert {name: phase["status"] for name, phase in told["phases"].items()} == dict.fromkeys(
        ("examples", "coverage", "fuzzing", "stateful"), "success"
    )
    assert (told["failures"], told["errors"]) == ([], [])
    # it did not merely knock: jobs were launched, and led from there to what is done to a job
    rates = told["valid_rates"]
    assert all(sum(phase["accepted"] for phase in rates[name].values()) for name in LAUNCHES), rates
    log = house.log.read_text()
    assert "cancel" in acts(house)
    # whether there is something to try again depends on how far the job has come: "not now" is an answer too
    assert "retry" in acts(house) or re.search(r"Conflict: /api/jobs/[0-9a-f-]{36}/retry", log)
    assert "the API failed" not in log


def acts(house: Installation) -> set[str]:
    """Return the actions on the jobs from the audit log."""
    with closing(sqlite3.connect(house.data / "flightplan.sqlite3", timeout=20)) as database:
        return {row[0] for row in database.execute("SELECT DISTINCT act FROM jobs_auditentry")}
