"""A site that sends far too much and prints its progress to standard output."""

import asyncio
import sys
from typing import Any

PART = 256 * 1024
PARTS = 64
#: Texts around every bound of a frame's head, in letters of two bytes; the last is beyond a megabyte.
SIZES = (1, 62, 63, 32_767, 32_768, 700_000)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Send sixteen megabytes to every client, in parts, and print a line for each part."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        if scope["path"] == "/big":
            for size in SIZES:
                await send({"type": "websocket.send", "text": "é" * size})
        part = {"type": "websocket.send", "bytes": bytes(PART)}
        end = {"type": "websocket.close", "code": 1000}
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        part = {"type": "http.response.body", "body": bytes(PART), "more_body": True}
        end = {"type": "http.response.body"}
    gone = asyncio.create_task(receive())
    for number in range(PARTS):
        await send(part)
        if scope["path"] == "/broken":
            raise ValueError("in the middle of an answer")
        await asyncio.sleep(0)
        if gone.done():
            return say(f"gone after {number}")
        say(f"sent {number}")
    await send(end)
    return say("all sent")


def say(text: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
