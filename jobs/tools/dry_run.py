"""One call of a dry run: checked against its server's schema, answered locally, and never sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.engine.results import Source
from jobs.tools.contract.calls import Call
from jobs.tools.contract.policy import ToolPolicy
from jobs.tools.contract.reply import Reply
from jobs.tools.server import Server

PREFIX = "dry-run:"
ID = "$id"


@dataclass(frozen=True, slots=True)
class DryRunCall:
    """A call that would be sent: its made-up reply, and its arguments with key and marker.

    It would need one of `limit` permits and count toward `per_minute` calls (0: no rate).
    """

    reply: Reply
    arguments: Mapping[str, Any] = field(repr=False)
    limit: int
    per_minute: int


async def check_call(server: Server, call: Call, policy: ToolPolicy) -> DryRunCall:
    """Check a call against its server without calling a tool. Raises ToolError."""
    connection = await server.session.connection()
    await connection.answers()
    tool = connection.tool(call.tool)
    arguments = call.arguments(policy, tool)
    tool.check(arguments, made_up=[name for name, value in arguments.items() if any(steps_in(value))])
    rate = server.spec.per_minute
    per_minute = rate.get(call.tool, 0) if isinstance(rate, Mapping) else rate or 0
    return DryRunCall(made_up(call.step, policy), arguments, server.spec.concurrency, per_minute)


def made_up(step: str, policy: ToolPolicy) -> Reply:
    """Return the reply for a dry run: the policy's sample data under an id that cannot be mistaken for a real
    one, and that identifies the step in the arguments of later calls."""
    id = PREFIX + step
    data = dict.fromkeys(policy.id_keys, id) | _filled(policy.dry_run_data, id)
    return Reply(data=data, remote_id=id, source=Source.SIMULATED, dry_run=True)


def steps_in(value: Any) -> Iterator[str]:
    """Yield the steps whose made-up ids appear in an argument, at any depth."""
    if isinstance(value, str) and value.startswith(PREFIX):
        yield value.removeprefix(PREFIX)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from steps_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from steps_in(one)


def _filled(sample: Any, id: str) -> Any:
    if isinstance(sample, Mapping):
        return {name: _filled(one, id) for name, one in sample.items()}
    if isinstance(sample, list | tuple):
        return [_filled(one, id) for one in sample]
    return id if sample == ID else sample
