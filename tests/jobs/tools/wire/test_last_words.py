"""The last answers of a server are read, although its process is already dead."""

import asyncio
import sys
import time

import pytest

from jobs.tools.contract.config import load_servers
from jobs.tools.wire.process import stat
from jobs.tools.wire.session import Session
from tests.jobs.tools.conftest import ROLES, until

pytestmark = pytest.mark.slow
CALLS = 5
# creates one file when it has this many calls; once another file exists, it answers all at once and exits
PARTING = """
import json, os, sys, time
last = []
results = {"tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}}
results["tools/call"] = {"content": [{"type": "text", "text": "done"}]}
for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    if method == "initialize":
        results[method] = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}}
        results[method]["serverInfo"] = {"name": "p", "version": "1"}
    if method in results:
        last.append(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[method]}) + "\\n")
    if method != "tools/call":
        print(*last, sep="", end="", flush=True)
        last = []
    if len(last) == int(sys.argv[1]):
        open(sys.argv[2], "w").close()
        while not os.path.exists(sys.argv[3]):
            time.sleep(0.01)
        os.write(1, "".join(last).encode())
        os._exit(0)
"""


async def test_all_answers_left_in_the_pipe_of_a_dead_server_are_read(tmp_path):
    heard, go = tmp_path / "heard", tmp_path / "go"
    entry = {"command": sys.executable, "args": ["-c", PARTING, str(CALLS), str(heard), str(go)]}
    one = Session(load_servers(None, {"asana-v2": ROLES["asana-v2"]}, {"asana-v2": entry})["asana-v2"])
    connection = await one.connection()
    calls = [asyncio.create_task(connection.call("x", {}, {}, 20.0)) for _ in range(CALLS)]
    await until(heard.exists)
    go.touch()
    block_until_exit_of(connection.process.pid)
    assert [result.content[0].text for result in await asyncio.gather(*calls)] == ["done"] * CALLS
    await one.aclose()


def block_until_exit_of(pid: int) -> None:
    """Block the loop, as if the worker was stopped, so that it sees the answers and the exit at once."""
    while (seen := stat(pid)) and not seen.dead:
        time.sleep(0.01)
