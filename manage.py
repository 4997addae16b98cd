#!/usr/bin/env python
"""Entry point of every command; holds the embedded servers for commands that need them."""

import os
import sys


def _names_no_servers() -> bool:
    """Whether a command by hand means the data of `make run`. Web, worker and beat are never started from here."""
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SITE_URL")
    given = any(os.environ.get(name) or os.environ.get(f"{name}_FILE") for name in names)
    return not given and sys.argv[1:2] != ["runserver"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["up"] or _names_no_servers():
        os.environ.setdefault("PORTAL_LOCAL_RUN", "1")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as missing:
        sys.exit(f"Django is not installed here ({missing}). Run `make run` or `make test` first.")

    from config.local import embedded

    if embedded.wanted() and sys.argv[1:2] and sys.argv[1] not in embedded.COMMANDS_WITHOUT_SERVERS:
        try:
            with embedded.servers():
                execute_from_command_line(sys.argv)
        except embedded.EmbeddedServerError as error:
            sys.exit(str(error))
    else:
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells do
