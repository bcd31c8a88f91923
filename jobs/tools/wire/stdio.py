"""The stdio transport: connects a server process to the SDK's two streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from jobs.tools.contract.spec import ServerSpec
from jobs.tools.wire.lines import LARGEST_LINE, Endless, LineSplitter, read_line
from jobs.tools.wire.process import BREATH, FLOOD, Process
from jobs.tools.wire.stderr import CappedLog
from jobs.tools.wire.trace import current_trace

MOST_UNSENT = 32_000_000  # bytes buffered for a server that does not read


class StdioWriter:
    """The SDK's stream to the server's stdin. It never waits: a hung server must not block its callers."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, item: SessionMessage) -> None:
        """Write one message. Raises anyio.BrokenResourceError if the server cannot be written to."""
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if not self._process.write(line, MOST_UNSENT):
            raise anyio.BrokenResourceError
        current_trace().sent = True

    async def aclose(self) -> None:
        """Do nothing: stdin closes when the process is stopped."""

    async def __aenter__(self) -> StdioWriter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@asynccontextmanager
async def stdio_transport(
    spec: ServerSpec, *, log_dir: Path | None = None, largest_line: int = LARGEST_LINE
) -> AsyncIterator[tuple[TransportStreams, Process]]:
    """Run the server while the block runs, then end it with all its descendants.

    stderr goes to `log_dir/<server>.stderr.log`. Raises OSError or ValueError if it cannot start.
    """
    errors = CappedLog(log_dir / f"{spec.name}.stderr.log" if log_dir else None)
    process = await Process.spawn(spec, errors)
    try:
        into, out = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        pump = asyncio.create_task(
            _pump(process, into, LineSplitter(largest_line)), name=f"stdout {spec.name}"
        )
        try:
            yield (out, StdioWriter(process)), process
        finally:
            pump.cancel()
            out.close()
            into.close()
    finally:
        await finish(asyncio.create_task(process.stop(), name=f"stop {spec.name}"))


async def finish(task: asyncio.Task[None]) -> None:
    """Wait until a task ends, even if cancelled meanwhile; the cancellation is raised afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _pump(
    process: Process, into: MemoryObjectSendStream[SessionMessage | Exception], splitter: LineSplitter
) -> None:
    """Pass messages from stdout to the SDK until either side ends. Noise is dropped, a flood slowed down."""
    try:
        while (chunk := await process.chunk()) is not None:
            noise = messages = 0
            for line, whole in splitter.feed(chunk):
                if (message := read_line(line, whole=whole)) is None:
                    noise += 1
                else:
                    messages += 1
                    await into.send(SessionMessage(message))
            flood = len(chunk) >= FLOOD and noise > messages
            await asyncio.sleep(BREATH if flood else 0)
    except Endless:
        process.kill()
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        pass  # the session has ended; the process is stopped by its owner
    finally:
        into.close()
        process.read_out.set()
