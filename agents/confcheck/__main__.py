"""Wiring only: settings, logs, adapters, loop, exit status."""

import sys

from sidecarkit.liveness import run_healthcheck


def main() -> int:
    """Run the command line. The healthcheck, asked twice a minute, is answered before anything else is imported."""
    if sys.argv[1:] == ["healthcheck"]:
        return run_healthcheck("confcheck")
    from confcheck.program import CONFCHECK  # noqa: PLC0415 - see above
    from sidecarkit import command  # noqa: PLC0415

    return command.main(CONFCHECK)


if __name__ == "__main__":
    sys.exit(main())
