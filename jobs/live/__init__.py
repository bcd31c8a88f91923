"""Live updates: the hub, the pieces of a page, and the sockets and streams that deliver them."""
