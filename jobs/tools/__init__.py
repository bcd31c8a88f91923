"""The only way to the outside: MCP tool servers, their limits, sessions and outcomes. No Django here."""
