"""Settings of an installation whose only workflow uses hostile servers."""

from config.settings import *  # noqa: F403

WORKFLOWS = ["tests.e2e.hostile.HOSTILE"]
TOOL_ROLES = "tests.e2e.hostile.ROLES"
BUNDLED_SERVERS = "tests.jobs.small.no_bundled"
