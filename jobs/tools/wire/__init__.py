"""MCP over a pipe or HTTP: processes, connections, sessions, and how results are read."""
