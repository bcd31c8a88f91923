"""The external services in one file: a scriptable MCP server that knows only the tools contract.

As a program: `python tests/fakes.py ROLE --ledger FILE [--fault SPEC]... [--latency S] [--http PORT]`.
SPEC is `tool:kind[=value][?text][@n]`: only for calls whose arguments hold `text`, only for the n-th call of
the tool (counted over restarts). Kinds: see `Server.fault` and `Server.http_answer`; of the tool `*`:
`ignore-term`, `banner`, `refuse`, `mute`.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
CONTRACT: dict[str, dict[str, list[str]]] = {}
_HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(_HERE, "contract.txt"), encoding="utf-8") as _lines:
    for _role, _tool, *_arguments in (line.split() for line in _lines if line[0] != "#"):
        CONTRACT.setdefault(_role, {})[_tool] = _arguments
FINDS = {  # look-up tool -> how the tools begin whose effects it finds
    "find_campaigns": "create_campaign",
    "find_images": "generate_image",
    "find_assets": "upload_asset",
    "find_designs": "create_design",
    "google_ads_find": "google_ads_create",
    "listFolderContents": "create",
    "searchDriveFiles": "create",
    "asana_search_projects": "asana_create_project",
    "asana_get_tasks_for_project": "asana_create_task",
}
ANSWERS: dict[str, Callable[[str], Json]] = {  # answers of a tool that did nothing
    "rpc": lambda value: {"error": {"code": int(value or -32603), "message": "it broke"}},
    "rpc-text": lambda value: {"error": {"code": -32603, "message": value}},
    "iserror": lambda value: said(value or "it did not work", error=True),
    "toperror": lambda value: said(json.dumps({"error": value or "it did not work"})),
    "429": lambda value: said("429 Too Many Requests" + f". Retry-After: {value}" * bool(value), error=True),
    "429-words": lambda value: said(f"Rate limit exceeded, retry after {value} seconds", error=True),
    "429-top": lambda value: said(json.dumps({"error": {"code": 429, "retry_after": float(value)}})),
    "dense": lambda value: {"result": {"content": [], "structuredContent": {"a": [[]] * int(value) * 10**6}}},
    "bad-result": lambda value: {"result": {"content": "text"}},
}
AFTER: dict[str, Callable[[str], Json]] = {  # results of a tool that did its work
    "noid": lambda value: {"content": [{"type": "text", "text": "made it, I think"}]},
    "image": lambda value: {"content": [{"type": "image", "data": "aW1hZ2U=", "mimeType": "image/png"}]},
    "schema": lambda value: {"content": [], "structuredContent": {"id": "not a number"}},
    "structured": lambda value: {"content": [], "structuredContent": json.loads(value)},
}
RAW = {  # text that follows the start of an answer, or replaces it
    "no-result": b"}\n",
    "garbage": b"Traceback (most recent call last):\n  File ...\n",
    "half": b',"result":{"content":[{"ty\n',
    "half-die": b',"result":{"content":[{"ty',
    "utf8": b',"result":{"content":[{"type":"text","text":"\xff\xfe"}]}}\n',
}
PROMISE = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
NOTICE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n'


def listing(role: str) -> list[Json]:
    return [{"name": name, "inputSchema": schema(arguments)} for name, arguments in CONTRACT[role].items()]


def schema(arguments: list[str]) -> Json:
    """Return the schema of a tool with arguments such as `name`, `title*` (required) and `width*:integer`."""
    kinds = {name.rstrip("*"): kind or "string" for name, _, kind in (a.partition(":") for a in arguments)}
    properties = {name: {} if kind == "any" else {"type": kind} for name, kind in kinds.items()}
    required = [a.partition("*")[0] for a in arguments if "*" in a]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


class Server:
    """One role over stdio or HTTP. Its state is the ledger, which survives the process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.role, self.ledger, self.latency = options.role, options.ledger, options.latency
        self.faults = [self._spec(text) for text in options.fault]
        self.counts: dict[str, int] = {}
        for entry in ledger(self.ledger):
            if entry["event"] == "start":
                self.counts[entry["tool"]] = self.counts.get(entry["tool"], 0) + 1
        self.tools = [tool for one in listing(self.role) if (tool := self._listed(one))]
        self.lock = threading.Lock()
        self.out = sys.stdout.buffer
        self.note("hello", pgid=os.getpgrp(), env=dict(os.environ), cwd=os.getcwd())

    @staticmethod
    def _spec(text: str) -> tuple[str, str, str, str, int]:
        text, _, nth = text.rpartition("@") if text.rsplit("@", 1)[-1].isdigit() else (text, "", "0")
        text, _, needle = text.partition("?")
        tool, _, kind = text.partition(":")
        kind, _, value = kind.partition("=")
        return tool, kind, value, needle, int(nth)

    def _listed(self, tool: Json) -> Json | None:
        """Return the tool as listed with its faults: `missing`, `renamed=NAME`, `schema`, `without=NAME`."""
        kinds = {kind: value for name, kind, value, *_ in self.faults if name == tool["name"]}
        promise = {"outputSchema": PROMISE} if "schema" in kinds else {}
        tool["inputSchema"]["properties"].pop(kinds.get("without"), None)
        return None if "missing" in kinds else {**tool, "name": kinds.get("renamed", tool["name"]), **promise}

    def note(self, event: str, **facts: object) -> None:
        """Append one line to the ledger; O_APPEND keeps lines of several processes whole."""
        line = json.dumps({"event": event, "t": time.monotonic(), "pid": os.getpid(), **facts}) + "\n"
        fd = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, line.encode())
        os.close(fd)

    def has(self, kind: str) -> bool:
        """Return whether a fault of the whole server is requested."""
        return any(tool == "*" and fault == kind for tool, fault, *_ in self.faults)

    def write(self, data: bytes) -> None:
        with self.lock:
            self.out.write(data)
            self.out.flush()

    def send(self, message: Json) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def stdio(self) -> None:
        """Serve requests until stdin ends, each call in its own thread."""
        if self.has("ignore-term"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.has("refuse"):
            sys.exit("no token file")
        if self.has("banner"):
            self.write(b"Server running on stdio\n\xff\xfe\n{not json\n\n")
        for line in sys.stdin.buffer:
            request = json.loads(line)
            if "id" in request and not self.has("mute"):
                threading.Thread(target=self._serve, args=(request,), daemon=True).start()
        while self.has("ignore-term"):
            time.sleep(60)

    def _serve(self, request: Json) -> None:
        if (answer := self.answer(request)) is not None:
            self.send({"id": request["id"], **answer})

    def answer(self, request: Json) -> Json | None:
        """Return the result or error of a request; None if there is no (further) answer."""
        method = request["method"]
        if method == "tools/call":
            return self._call(request)
        if method == "initialize":
            hello = {"protocolVersion": request["params"]["protocolVersion"], "capabilities": {"tools": {}}}
            return {"result": {**hello, "serverInfo": {"name": self.role, "version": "1"}}}
        results = {"ping": {}, "tools/list": {"tools": self.tools}}
        return (
            {"result": results[method]} if method in results else {"error": {"code": -32601, "message": "?"}}
        )

    def _call(self, request: Json) -> Json | None:
        params = request["params"]
        tool, args, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
        with self.lock:
            number = self.counts[tool] = self.counts.get(tool, 0) + 1
        mark = uuid.uuid4().hex
        self.note("start", call=mark, tool=tool, args=args, meta=meta)
        kind, value = self._fault_of(tool, args, number)
        try:
            time.sleep(float(value) if kind == "slow" else self.latency)
            return self.fault(kind, value, request, tool, args, meta)
        finally:
            self.note("end", call=mark, tool=tool)

    def _fault_of(self, tool: str, args: Json, number: int) -> tuple[str, str]:
        for name, kind, value, needle, nth in self.faults:
            if name == tool and nth in (0, number) and needle in json.dumps(args):
                return kind, value
        return "", ""

    def fault(self, kind: str, value: str, request: Json, tool: str, args: Json, meta: Json) -> Json | None:
        """Apply a fault, which replaces or changes the ordinary answer."""
        head = f'{{"jsonrpc":"2.0","id":{request["id"]},'.encode()
        if kind in ANSWERS:
            return ANSWERS[kind](value)
        if kind in RAW:
            self.write(RAW[kind] if kind == "garbage" else head[:-1] + RAW[kind])
            if kind == "half-die":
                os._exit(9)
            return None
        if kind == "error-first":  # and makes the effect anyway, `value` seconds later
            self.send({"id": request["id"], **ANSWERS["rpc"]("")})
            time.sleep(float(value))
            self.effect(tool, args, meta)
            return None
        if kind in ("hang", "freeze"):
            _ = self.lock.acquire() if kind == "freeze" else None
            time.sleep(3600)
        if kind == "die-before":
            os._exit(9)
        if kind == "flood":
            for _ in range(int(value) // 1000):
                self.write(NOTICE * 1000)
        if kind == "stderr":
            for number in range(int(value) * 1000):
                sys.stderr.write(f"{number:09d} {'e' * 989}\n")
        if kind == "orphan":
            forever = [sys.executable, "-c", "import time; time.sleep(600)"]
            child = subprocess.Popen(forever, start_new_session=value == "session")
            self.note("orphan", child=child.pid)
        if kind == "huge":
            filler = b"x" * 1_000_000 * int(value)
            self.write(head + b'"result":{"content":[{"type":"text","text":"' + filler + b'"}]}}\n')
            return None
        done = self.effect(tool, args, meta)
        if kind == "die-after":
            os._exit(9)
        if kind == "lost-after":
            time.sleep(3600)
        if kind == "drip":  # `value` bytes a second, with no other answer in between
            with self.lock:
                for byte in json.dumps({"jsonrpc": "2.0", "id": request["id"], **done}) + "\n":
                    time.sleep(self.out.write(byte.encode()) / float(value))
                    self.out.flush()
            return None
        if kind == "wrong-id":
            self.send({"id": 987654, **done})
            return None
        if kind == "double":
            self.send({"id": request["id"], **done})
            return said('{"id": "second"}')
        if kind == "partial":
            text = done["result"]["content"][0]["text"]
            return said(f"Document created but content failed: {text} (429 quota)", error=True)
        if kind in AFTER:
            return {"result": AFTER[kind](value)}
        return done

    def effect(self, tool: str, args: Json, meta: Json) -> Json:
        """Make a tool's effect and return its answer; refuse arguments that are not in the contract."""
        words = CONTRACT[self.role].get(tool)
        if words is None:
            return {"error": {"code": -32602, "message": f"Unknown tool: {tool}"}}
        declared = schema(words)
        missing = set(declared["required"]) - set(args)
        undeclared = set(args) - set(declared["properties"])
        if missing or undeclared:
            return said(f"Invalid arguments: {sorted(missing or undeclared)}", error=True)
        if tool in FINDS:
            return said(json.dumps(self.find(tool, args)))
        if tool == "asana_list_workspaces":
            return said(json.dumps([{"gid": "1200", "name": "Marketing"}]))
        if tool == "writeSpreadsheet":
            self.note("effect", tool=tool, args=args, meta=meta)
            return said("Successfully wrote to the range")
        made = self.thing(tool, args)
        self.note("effect", tool=tool, args=args, meta=meta, **made)
        return said(json.dumps(made))

    def thing(self, tool: str, args: Json) -> Json:
        """Return the new item in the role's own format."""
        one = str(args["id"]) if tool == "set_campaign_status" else uuid.uuid4().hex[:12]
        name = args.get("name", args.get("title", args.get("text", "")))
        match self.role:
            case "google-docs":
                return {"id": one, "name": name, "url": f"https://docs.example/{one}"}
            case "asana-v2":
                return {"gid": one, "name": name, "permalink_url": f"https://asana.example/{one}"}
            case "image-gen":
                path = args.get("save_path", f"/tmp/{one}.png")
                size = {"width": args["width"], "height": args["height"]}
                return {"path": path, **size, "mime_type": "image/png", "model": "fake", "cost_usd": 0.04}
            case "canva" if tool == "create_design":
                url = f"https://canva.example/{one}"
                return {"id": one, "edit_url": url + "/edit", "view_url": url + "/view"}
        return {"id": one, "name": name, "status": args.get("status", "PAUSED")}

    def visible(self) -> list[Json]:
        return ledger(self.ledger, "effect")

    def find(self, tool: str, args: Json) -> object:
        """Return the answer of a look-up from the effects in the ledger."""
        effects = [e for e in self.visible() if e["tool"].startswith(FINDS[tool])]
        if self.role == "google-docs":
            hits = [e for e in effects if args.get("query", "") in e["name"]]
            hits = [e for e in hits if args.get("folderId") in (None, e["args"].get("parentFolderId"))]
            return {"files": [{key: e[key] for key in ("id", "name", "url")} for e in hits]}
        if self.role == "asana-v2":
            hits = [e for e in effects if args.get("project_id") == e["args"].get("project_id")]
            hits = [e for e in hits if re.search(args.get("name_pattern", ""), e["name"], re.IGNORECASE)]
            return {"data": [{"notes": "", **e["args"], "gid": e["gid"]} for e in hits]}
        key = "reference" if "reference" in args else "external_id"
        hits = [e for e in effects if e["args"].get(key) == args[key]]
        return {"items": [{"id": e.get("id", e.get("path")), "name": e.get("name", "")} for e in hits]}

    def http(self, port: int) -> None:
        """Serve JSON answers at any path; print the port as the first line on stdout."""
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.note("http", headers=dict(self.headers), method=request.get("method"))
                status, headers, answer = server.http_answer(request) if "id" in request else (202, {}, None)
                if status == 0:
                    self.close_connection = True
                    return
                frame = {"jsonrpc": "2.0", "id": request.get("id"), **(answer or {})}
                data = json.dumps(frame).encode() if answer else b""
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self.send_error(405)

            def log_message(self, *args: object) -> None:
                pass

        listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        print(listener.server_port, flush=True)
        listener.serve_forever()

    def http_answer(self, request: Json) -> tuple[int, Json, Json | None]:
        """Return status, headers, answer; HTTP-only faults: `http=STATUS[,Retry-After]`, `drop`, `big=MB`."""
        headers = {"Content-Type": "application/json", "Mcp-Session-Id": "session-1"}
        if request["method"] == "tools/call":
            tool, args = request["params"]["name"], request["params"].get("arguments") or {}
            kind, value = self._fault_of(tool, args, self.counts.get(tool, 0) + 1)
            if kind in ("http", "drop", "big"):
                self.counts[tool] = self.counts.get(tool, 0) + 1
                self.note("start", call=uuid.uuid4().hex, tool=tool, args=args, meta={})
            if kind == "http":
                status, _, after = value.partition(",")
                return int(status), {"Content-Type": "text/plain", "Retry-After": after}, None
            if kind == "drop":
                return 0, {}, None
            if kind == "big":
                return 200, headers, said("x" * int(value) * 1_000_000)
        return 200, headers, self.answer(request)


def said(text: str, *, error: bool = False) -> Json:
    return {"result": {"content": [{"type": "text", "text": text}], **({"isError": True} if error else {})}}


def ledger(path: object, event: str = "", tool: str = "") -> list[Json]:
    """Return the ledger's entries, all of them or those of an event and a tool."""
    with contextlib.suppress(FileNotFoundError):
        with open(str(path), encoding="utf-8") as file:
            # in one read: otherwise a line that is being written could be split and look complete
            *lines, _ = file.read().split("\n")
        entries = [json.loads(line) for line in lines]
        return [e for e in entries if event in ("", e["event"]) and tool in ("", e.get("tool"))]
    return []


def peak(path: object, tool: str = "") -> int:
    """Return the most calls that the server handled at once."""
    starts = [(e["t"], 1) for e in ledger(path, "start", tool)]
    ends = [(e["t"], -1) for e in ledger(path, "end", tool)]
    return max(itertools.accumulate(step for _, step in sorted(starts + ends)), default=0)


def entry(role: str, path: object, *faults: str, latency: float = 0.0) -> Json:
    """Return an entry of the tool servers file that runs this program for a role."""
    flags = [flag for fault in faults for flag in ("--fault", fault)]
    args = ["-S", "-E", __file__, role, "--ledger", str(path), "--latency", str(latency), *flags]
    return {"command": sys.executable, "args": args}


def servers_file(path: Path, entries: dict[str, Json]) -> Path:
    """Write a tool servers file with these entries, and return its path."""
    path.write_text(json.dumps({"mcpServers": entries}))
    return path


def main(server: type[Server] = Server) -> None:
    """Run as a server of this class."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=CONTRACT)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--http", type=int)
    options = parser.parse_args()
    made = server(options)
    made.stdio() if options.http is None else made.http(options.http)


if __name__ == "__main__":
    main()
