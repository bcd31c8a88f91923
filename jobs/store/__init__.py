"""The event log and the call rows: how they are written, read and announced."""
