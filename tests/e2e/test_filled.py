"""What the event benchmark requires: a real disk and a database filled with complete jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import Unmet
from benchmarks.filled import open_database
from tests.e2e.installation import ROOT

FILLED = """
import sys
from pathlib import Path
from benchmarks.filled import Filled, durable, lengthen, open_database
open_database(Path(sys.argv[1]))
from jobs.store import feed
from jobs.models import Job, WorkflowEvent
filled = Filled.begin()
for size in (10, 1000, 5000):
    filled.fill(size)
    lengths = [len(list(feed.whole(job.pk))) for job in Job.objects.order_by("created_at")]
    assert lengths == [10] * (size // 10), lengths
lengthen(filled.job, 2345)
assert feed.progress(filled.job.pk).last_seq == 2345
settings = durable()
assert settings["bytes"] and (settings["journal_mode"], settings["synchronous"]) == ("wal", 2), settings
last = Job.objects.order_by("-created_at").first()
print(WorkflowEvent.objects.count(), Job.objects.count(), feed.progress(last.pk).last_seq)
"""


def test_a_database_is_filled_with_complete_jobs_in_order(tmp_path: Path):
    filled = subprocess.run(
        [sys.executable, "-c", FILLED, str(tmp_path)],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert filled.returncode == 0, filled.stderr
    assert filled.stdout.split() == [str(499 * 10 + 2345), "500", "10"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_folder_in_memory_is_refused():
    with pytest.raises(Unmet, match="is tmpfs, where nothing is written"):
        open_database(Path("/dev/shm"))
