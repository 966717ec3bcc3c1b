"""How `certsync sync` asks the certsync that runs: through a file in the state folder, which only one may work in."""

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from sidecarkit.errors import SidecarError


@dataclass(frozen=True, slots=True)
class Request:
    """One wish. *token* tells its answer from another's."""

    token: str
    force: bool


class Requests:
    """Both ends of the file."""

    def __init__(self, folder: Path) -> None:
        self._request, self._answer = folder / "sync-request.json", folder / "sync-answer.json"
        self.accepted: Request | None = None

    def ask(self, *, force: bool, patience_seconds: float) -> None:
        """Ask, and wait until the running certsync has done it. Raises SidecarError when it does not."""
        token = secrets.token_hex(8)
        _write(self._request, {"token": token, "force": force})
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            if _read(self._answer).get("token") == token:
                return
            time.sleep(0.1)
        raise SidecarError(f"the running certsync did not finish within {patience_seconds:g} s: see certsync status")

    def pending(self) -> Request | None:
        """Look for a wish that was not accepted yet."""
        document = _read(self._request)
        if not document:
            return None
        return Request(str(document.get("token")), document.get("force") is True)

    def accept(self, request: Request) -> None:
        """Take a wish; a later one takes its place."""
        self._request.unlink(missing_ok=True)
        self.accepted = request

    def answer(self) -> None:
        """Say that what was accepted is done."""
        if self.accepted:
            _write(self._answer, {"token": self.accepted.token})
            self.accepted = None


def _read(file: Path) -> dict[str, object]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write(file: Path, document: dict[str, object]) -> None:
    staged = file.with_suffix(".new")
    staged.write_text(json.dumps(document), encoding="utf-8")
    staged.replace(file)
