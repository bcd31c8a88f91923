"""Settings of an installation whose look-ups and probes wait only LAG and COOL_DOWN seconds."""

import dataclasses
import os

from campaigns import roles
from config.settings import *  # noqa: F403
from jobs.tools import circuit

TOOL_ROLES = "tests.e2e.hurried.ROLES"
LAG = float(os.environ.get("LAG", "0.2"))
ROLES = {name: dataclasses.replace(role, lag=min(role.lag, LAG)) for name, role in roles.ROLES.items()}
circuit.COOL_DOWN = float(os.environ.get("COOL_DOWN", circuit.COOL_DOWN))
