"""Starting a program of the packet filter's: commands are tuples, and this is where they become processes."""

import subprocess

from logban.firewall import FirewallError

Command = tuple[str, ...]

_TIMEOUT_SECONDS = 60.0
_REASON_LENGTH = 500  # nft repeats the line it stumbled over, and that may be a set of a million elements


class ProgramError(FirewallError):
    """A program is missing, said no, or did not come back."""

    def __init__(self, command: Command, reason: str) -> None:
        """Keep the command for whoever wants to try it by hand."""
        super().__init__(f"{' '.join(command)}: {reason}")
        self.command = command


def run(command: Command, stdin: str = "") -> str:
    """Run it and return what it printed. Raises ProgramError with its own words when it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a tuple built here, never a shell, never text from a log
            command, input=stdin, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except FileNotFoundError as error:
        raise ProgramError(command, "no such program") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(command, str(error)) from error
    if done.returncode:
        raise ProgramError(command, done.stderr.strip()[:_REASON_LENGTH] or f"exit status {done.returncode}")
    return done.stdout
