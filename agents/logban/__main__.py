"""logban's command line."""

from __future__ import annotations

import sys

from logban import trial
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
    ),
)


def main() -> int:
    """Run the command that was asked for."""
    return command.main(AGENT)


if __name__ == "__main__":
    sys.exit(main())
