"""The HTTP API: a job told in full, and the pages of the list."""
