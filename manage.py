#!/usr/bin/env python
"""Flightplan's command line."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

BAD_SETTINGS = 2  # the exit code of bad input too


def settings_for(words: list[str]) -> str:
    """Return the settings module of a command; with `--server` it uses nothing of this installation."""
    elsewhere = any(word == "--server" or word.startswith("--server=") for word in words)
    return "config.elsewhere" if elsewhere and words[0] in ("launch", "follow") else "config.settings"


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_for(sys.argv[1:]))
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        print(error, file=sys.stderr)  # noqa: T201  # no command's output is set up yet
        sys.exit(BAD_SETTINGS)


if __name__ == "__main__":
    main()
