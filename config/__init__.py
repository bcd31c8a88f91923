"""The wiring: settings, addresses and the ASGI application, read from the environment."""
