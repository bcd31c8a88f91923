"""Measure what the documents promise: each module prints figures and fails where a promise is not kept."""
