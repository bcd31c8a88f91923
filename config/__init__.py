"""The configuration: settings from the environment, URLs and the ASGI application."""
