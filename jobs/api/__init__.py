"""The HTTP API: its operations, authentication, problem details and document."""
