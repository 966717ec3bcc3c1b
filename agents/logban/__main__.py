"""logban's command line."""

from __future__ import annotations

import sys

from logban import exchange, trial
from logban.config import Config
from sidecarkit import command
from sidecarkit.command import Agent, Command

AGENT = Agent(
    name="logban",
    summary="Watches containers' logs and bans who probes their TLS.",
    schema=Config,
    commands=(
        Command(
            "test", "say what the filters and jails make of a log; touches nothing", trial.perform, trial.arguments
        ),
        Command("export", "write the jails as files for fail2ban", exchange.export, exchange.export_arguments),
        Command("import", "print a filter of fail2ban's as one of ours", exchange.read, exchange.import_arguments),
    ),
)


def main() -> int:
    """Run the command that was asked for."""
    return command.main(AGENT)


if __name__ == "__main__":
    sys.exit(main())
