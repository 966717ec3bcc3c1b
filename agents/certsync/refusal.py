"""Why nothing was changed: one code per cause, the same in log, metric and status."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Every cause for which a target keeps what it has, or is not yet where it should be."""

    SOURCE_MISSING = "source_missing"
    SOURCE_UNREADABLE = "source_unreadable"
    SOURCE_TORN = "source_torn"
    NO_CERTIFICATE = "no_certificate"
    NAME_NOT_COVERED = "name_not_covered"
    KEY_MISMATCH = "key_mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CHAIN_BROKEN = "chain_broken"
    DOWNGRADE = "downgrade"
    STAGING = "staging"
    WEAK_KEY = "weak_key"
    TARGET_MISSING = "target_missing"
    TARGET_READ_ONLY = "target_read_only"
    TARGET_NOT_REPLACEABLE = "target_not_replaceable"
    NO_SPACE = "no_space"
    FOREIGN_WRITER = "foreign_writer"
    UNDELIVERABLE = "undeliverable"
    RELOAD_FAILED = "reload_failed"
    VERIFY_FAILED = "verify_failed"
    CONTAINER_MISSING = "container_missing"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason and a sentence for the operator. The sentence never holds key material."""

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class RefusalError(Exception):
    """Carries a refusal out of code that reads or writes, to the loop that reports it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.refusal = Refusal(reason, detail)
