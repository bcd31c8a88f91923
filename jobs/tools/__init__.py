"""The one door to the outside: MCP tool servers, their limits, sessions and outcomes. No Django here."""
