"""MCP servers that come with the product: the local world, and doors to outside services."""
