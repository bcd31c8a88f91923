"""The local world: one MCP server a role, each a process of its own, real results in one folder.

`python -m campaigns.servers.local google-docs` serves that role over stdin and stdout. The environment says
where and how: `LOCAL_DIR` is the world's folder (default `var/local`), `LOCAL_URL` the address under which
the web serves it (e.g. `/local/`; without it links are `file://`), `LOCAL_LATENCY` the pace (nothing: at
once; `realistic`; or a number that scales it).

The servers use the standard library alone until a call needs more: eight of them start with the worker, and
the SDK costs each about 0.9 s and 64 MB to import where this costs 0.07 s and 23 MB. The tests speak to them
with the SDK's own client, so that the wire stays true to the protocol.
"""
