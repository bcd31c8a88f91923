"""The bundled MCP servers: one per role, each in its own process, with real results in one folder.

`python -m campaigns.servers.local google-docs` serves that role over stdin and stdout. Environment
variables configure it: `LOCAL_DIR` is the folder (default `var/local`), `LOCAL_URL` the URL at which the web
process serves that folder (such as `/local/`; without it links are `file://`), `LOCAL_LATENCY` the pace
(empty: at once; `realistic`; or a number that scales it).

The servers import only the standard library until a call needs more: eight of them start with the worker,
and importing the SDK takes each about 0.9 s and 64 MB instead of 0.07 s and 23 MB. The tests use the SDK's
client, so that the implementation stays true to the protocol.
"""
