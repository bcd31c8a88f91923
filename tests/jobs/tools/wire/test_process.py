"""Server processes as the kernel shows them, including processes that exit during the check."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.tools.contract.errors import ConnectionLost, Unknown
from jobs.tools.wire.process import descendants
from tests.jobs.tools.conftest import task
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow


@pytest.fixture
def before_each_look(monkeypatch) -> Callable[[Callable[[int], object]], None]:
    """Return a function: `before_each_look(act)` runs `act(pid)` before a process's threads are listed."""

    def install(act: Callable[[int], object]) -> None:
        def acting(real):
            def listed(path="."):
                if found := re.fullmatch(r"/proc/(\d+)/task", str(path)):
                    act(int(found[1]))
                return real(path)

            return listed

        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, acting(getattr(os, name)))

    return install


def test_a_process_reaped_during_the_check_has_no_descendants(before_each_look):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:

        def end(pid: int) -> None:
            child.kill()
            child.wait()

        before_each_look(end)
        assert descendants(child.pid) == []


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_server_reaped_during_a_check_fails_its_call_and_not_the_job(
    gateway, before_each_look, monkeypatch, nth
):
    looked_at, bury, looks = threading.Event(), os.waitpid, itertools.count(1)

    def bury_late(pid: int, options: int):  # in the thread where the loop waits for its children
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        looked_at.wait(10)
        return bury(pid, options)

    def end(pid: int) -> None:
        if next(looks) < nth:
            return
        os.kill(pid, signal.SIGKILL)
        looked_at.set()
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.001)

    monkeypatch.setattr(os, "waitpid", bury_late)
    before_each_look(end)
    door = gateway("asana_create_task:die-before@1", lookups=False)
    with pytest.raises(Unknown) as unknown:
        await door.call(task(), MemoryJournal())
    assert isinstance(unknown.value.__cause__, ConnectionLost)
