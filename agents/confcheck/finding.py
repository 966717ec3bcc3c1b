"""What is wrong, in which line, and what to do about it."""

import hashlib
import re
from dataclasses import dataclass

SEVERITIES = ("error", "warning")  # a server, its mail or a secret is at risk; people are misled or will be


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to mend. *message* names no value: at most its first two characters and its length."""

    file: str
    line: int
    rule: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.rule} {self.message}"

    @property
    def identity(self) -> str:
        """Tell it apart from others, also after lines above it were added or taken out."""
        said = re.sub(r":\d+", "", self.message)  # the other file's line
        return hashlib.sha256(f"{self.file} {self.rule} {said}".encode()).hexdigest()[:16]
