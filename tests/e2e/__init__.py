"""The product as its users run it: real processes, real servers over pipes, a real browser."""
