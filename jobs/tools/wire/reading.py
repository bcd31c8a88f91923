"""Turn a tool's raw result into a reply or an error."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from jobs.tools.contract import wording
from jobs.tools.contract.errors import (
    BadReply,
    ConnectionLost,
    InvalidArguments,
    RateLimited,
    ServerFault,
    ServerUnavailable,
    TimedOut,
    ToolError,
    ToolFailed,
    UnknownTool,
)
from jobs.tools.contract.policy import ToolPolicy
from jobs.tools.contract.reply import ImageContent, Reply
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.contract.tool import Tool
from jobs.tools.wire.lines import Broken
from jobs.tools.wire.trace import Trace


def read_result(result: types.CallToolResult, tool: Tool, policy: ToolPolicy, spec: ServerSpec) -> Reply:
    """Return the reply of a raw result. Raises RateLimited, ToolFailed, UnknownTool or BadReply."""
    where = f"{spec.name} {tool.name}"
    reply = _parse(result, policy, spec, where)
    if result.is_error:
        raise _failure(where, reply.text, reply, policy, spec)
    if error := reply.data.get("error"):
        raise _failure(where, error, reply, policy, spec)
    if finding := tool.check_answer(result.structured_content):
        raise BadReply(spec.redact(f"{where}: the answer violates the tool's own schema ({finding})"))
    if policy.writes and not _names_effect(reply, policy):
        raise BadReply(f"{where}: the answer does not name what was made ({' or '.join(policy.id_keys)})")
    return reply


def protocol_error(spec: ServerSpec, tool: str, error: MCPError, trace: Trace) -> ToolError:
    """Return the ToolError for a JSON-RPC error and what the transport recorded of the attempt."""
    said = trace.fault or error.message
    message = spec.redact(f"{spec.name} {tool}: {said}")
    if isinstance(error.data, Broken):
        return BadReply(message)
    if not trace.sent:
        return ServerUnavailable(message)
    if trace.fault and trace.status is None:
        return ConnectionLost(message)
    if trace.status is not None and (fault := _http_fault(trace, error, message)) is not None:
        return fault
    match error.code:
        case types.CONNECTION_CLOSED:
            return ConnectionLost(message)
        case types.REQUEST_TIMEOUT:
            return TimedOut(message)
        case types.METHOD_NOT_FOUND:
            return UnknownTool(message)
        case types.INVALID_PARAMS:
            return UnknownTool(message) if wording.is_unknown_tool(said) else InvalidArguments(message)
    if wording.is_rate_limit(said):
        return RateLimited(message, wording.seconds_to_wait(said))
    return ServerFault(message, over=True)


def adopted(item: Mapping[str, Any], policy: ToolPolicy, spec: ServerSpec) -> Reply:
    """Return the reply of an effect from the item that a look-up returned for it."""
    return Reply(
        data=_storable(dict(item)),
        remote_id=_first(item, policy.id_keys),
        remote_url=_first(item, policy.url_keys),
        source=spec.source,
    )


def _http_fault(trace: Trace, error: MCPError, message: str) -> ToolError | None:
    """Return the ToolError that an HTTP status implies; None if it implies none."""
    status = trace.status or 0
    detailed = f"{message} (HTTP {status})"
    if trace.fault:
        return BadReply(detailed)
    if status == 429:
        return RateLimited(detailed, trace.retry_after)
    if status >= 500:
        # others (502, 503, 504, 52x) may come from a gateway while the server behind it is still working
        return ServerFault(detailed, over=status in (500, 501))
    if status in (202, 200) and error.code in (types.PARSE_ERROR, types.INVALID_REQUEST):
        return BadReply(detailed)
    if status in (400, 404) and "session" in error.message.lower():
        return ServerUnavailable(f"{message} (the server has forgotten the session)")
    if error.code in (types.INVALID_PARAMS, types.METHOD_NOT_FOUND):
        return None
    return ToolFailed(f"{message} (HTTP {status}: refused)") if status >= 300 else None


def _parse(result: types.CallToolResult, policy: ToolPolicy, spec: ServerSpec, where: str) -> Reply:
    text = _storable("\n".join(part.text for part in result.content if isinstance(part, types.TextContent)))
    try:
        images = tuple(
            ImageContent(base64.b64decode(part.data, validate=True), part.mime_type)
            for part in result.content
            if isinstance(part, types.ImageContent)
        )
    except (binascii.Error, ValueError):
        raise BadReply(f"{where}: the image cannot be decoded") from None
    data = _data(result.structured_content, text)
    if result.is_error and not data:
        data = wording.object_in(text)
    effect = _effect(data)
    return Reply(
        data=data,
        text=text,
        images=images,
        remote_id=_first(effect, policy.id_keys),
        remote_url=_first(effect, policy.url_keys),
        source=spec.source,
    )


def _data(structured: Any, text: str) -> dict[str, Any]:
    """Return the JSON object of an answer, from its structured content or else its text."""
    if isinstance(structured, dict) and set(structured) == {"result"}:
        # servers of the Python SDK wrap other values than objects like this
        structured = structured["result"]
        if isinstance(structured, str):
            text, structured = structured, None
    if structured is None:
        try:
            structured = json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
        except (ValueError, RecursionError):
            structured = None
    try:
        structured = _storable(structured)
    except RecursionError:
        structured = None
    if isinstance(structured, list):
        return {"items": structured}
    return structured if isinstance(structured, dict) else {}


def _storable(value: Any) -> Any:
    """Return `value` without what a JSON column cannot store: NUL, lone surrogates, NaN.

    The effect already exists, and recording it must not fail over a character. Raises RecursionError.
    """
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_storable(key): _storable(one) for key, one in value.items()}
    return [_storable(one) for one in value] if isinstance(value, list) else value


def _effect(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object that names the effect: the answer itself, or the one in a lone `data`."""
    inner = data.get("data")
    return inner if len(data) == 1 and isinstance(inner, dict) else data


def _first(data: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = data.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def _names_effect(reply: Reply, policy: ToolPolicy) -> bool:
    if policy.image and (reply.images or _first(reply.data, ("path",))):
        return True
    return policy.plain_text or bool(reply.remote_id)


def _failure(where: str, error: object, reply: Reply, policy: ToolPolicy, spec: ServerSpec) -> ToolError:
    """Return the ToolError for an error that the tool reports as text or `{code, message, retry_after}`."""
    said = wording.sentence(error)
    message = spec.redact(f"{where}: {said or 'failed without a reason'}")
    # an effect that exists must not be made a second time
    if policy.error_may_name_effect and reply.remote_id:
        return ToolFailed(message, reply)
    if wording.is_rate_limit(error):
        return RateLimited(message, wording.seconds_to_wait(error))
    if wording.is_unknown_tool(said):
        return UnknownTool(message)
    return ToolFailed(message, reply)
