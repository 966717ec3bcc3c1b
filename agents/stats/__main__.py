"""Where the command line begins."""

import sys

from sidecarkit.liveness import run_healthcheck


def main() -> int:
    """Run the command line. The healthcheck, asked twice a minute, is answered before anything else is imported."""
    if sys.argv[1:] == ["healthcheck"]:
        return run_healthcheck("stats")
    from sidecarkit import command  # noqa: PLC0415 - see above
    from stats.program import STATS  # noqa: PLC0415

    return command.main(STATS)


if __name__ == "__main__":
    sys.exit(main())
