"""MCP servers that come with the product: bundled servers, and adapters to outside services."""
