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
def site(start: Start) -> Installation:
    """Start an installation whose bundled servers answer immediately, so that jobs and streams are short."""
    return start()


def report_of(site: Installation, folder: Path) -> dict[str, Any]:
    """Run Schemathesis on the API with a token that has every scope; return its report."""
    token, file = site.token("read", "launch", "spend"), folder / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run"]
    command += [f"{site.url}/api/openapi.json", "--header", f"Authorization: Bearer {token}"]
    command += ["--checks", "all", "--report", "json", "--report-json-path", str(file)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, f"{done.stdout[-8000:]}{done.stderr[-2000:]}"
    return dict(json.loads(file.read_text()))


def test_schemathesis_finds_no_fault(site: Installation, tmp_path: Path):
    report = report_of(site, tmp_path)
    document = site.api.get("/api/openapi.json").json()
    count = sum(len(methods) for methods in document["paths"].values())
    assert report["complete"]
    assert (report["operations"]["tested"], report["operations"]["skipped"]) == (count, 0)
    assert {name: phase["status"] for name, phase in report["phases"].items()} == dict.fromkeys(
        ("examples", "coverage", "fuzzing", "stateful"), "success"
    )
    assert (report["failures"], report["errors"]) == ([], [])
    # jobs were really launched, and links led from them to the actions on a job
    rates = report["valid_rates"]
    assert all(sum(phase["accepted"] for phase in rates[name].values()) for name in LAUNCHES), rates
    log = site.log.read_text()
    assert "cancel" in acts(site)
    # whether a retry is possible depends on the progress of the job, so a conflict is fine too
    assert "retry" in acts(site) or re.search(r"Conflict: /api/jobs/[0-9a-f-]{36}/retry", log)
    assert "the API failed" not in log


def acts(site: Installation) -> set[str]:
    """Return the actions on the jobs from the audit log."""
    with closing(sqlite3.connect(site.data / "flightplan.sqlite3", timeout=20)) as database:
        return {row[0] for row in database.execute("SELECT DISTINCT act FROM jobs_auditentry")}
