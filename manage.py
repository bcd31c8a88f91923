#!/usr/bin/env python
"""Flightplan's command line."""

import os
import sys


def settings_for(words: list[str]) -> str:
    """Give the settings of a command: one for an installation elsewhere needs nothing of this one."""
    elsewhere = any(word == "--server" or word.startswith("--server=") for word in words)
    return "config.elsewhere" if elsewhere and words[0] in ("launch", "follow") else "config.settings"


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_for(sys.argv[1:]))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
