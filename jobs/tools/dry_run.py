"""One call of a dry run: checked by its server's own schema, answered here, and never sent."""

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
    """A call that would be sent: its made-up reply, and the arguments with key and marker in their places.

    It would go under one of `limit` permits, and with at most `per_minute` others a minute (0: no such rate).
    """

    reply: Reply
    arguments: Mapping[str, Any] = field(repr=False)
    limit: int
    per_minute: int


async def check_call(server: Server, call: Call, policy: ToolPolicy) -> DryRunCall:
    """Check a call at its server, which may be asked for nothing but its tools. Raises ToolError."""
    connection = await server.session.connection()
    await connection.answers()
    tool = connection.tool(call.tool)
    arguments = call.arguments(policy, tool)
    tool.check(arguments, made_up=[name for name, value in arguments.items() if any(steps_in(value))])
    rate = server.spec.per_minute
    per_minute = rate.get(call.tool, 0) if isinstance(rate, Mapping) else rate or 0
    return DryRunCall(made_up(call.step, policy), arguments, server.spec.concurrency, per_minute)


def made_up(step: str, policy: ToolPolicy) -> Reply:
    """The reply that a dry run goes on with: the policy's sample, under an id that nobody takes for a real
    one, and that tells in later calls which step they wait for."""
    id = PREFIX + step
    data = dict.fromkeys(policy.id_keys, id) | _filled(policy.dry_run_data, id)
    return Reply(data=data, remote_id=id, source=Source.SIMULATED, dry_run=True)


def steps_in(value: Any) -> Iterator[str]:
    """The steps whose made-up ids stand in an argument, at any depth."""
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
