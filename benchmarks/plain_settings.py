"""Settings of an installation whose only workflow makes plain calls."""

from config.settings import *  # noqa: F403

WORKFLOWS = ["benchmarks.plain.PLAIN"]
