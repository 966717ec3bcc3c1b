"""The shell: looks again and again, and says what is new."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from confcheck import notices, policy
from confcheck.config import Config
from confcheck.ledger import Ledger
from confcheck.look import Book, Look, look
from confcheck.metrics import Metrics
from confcheck.tree import NotCheckable
from sidecarkit import logs
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notifier

BEAT_SECONDS = 1.0
AGAIN_SECONDS = 5.0  # until a finding is looked at a second time before it is told


@dataclass(slots=True, kw_only=True)
class Loop:
    """Everything the running confcheck does, in one thread."""

    config: Config
    book: Book
    ledger: Ledger
    metrics: Metrics
    liveness: Liveness
    notifier: Notifier
    log: logs.Log
    inbox: SimpleQueue[Any]
    clock: Callable[[], float] = time.time
    again_seconds: float = AGAIN_SECONDS
    _before: frozenset[str] = frozenset()
    _next_at: float = field(default=0.0)

    def run(self) -> Stop:
        """Work until told to stop."""
        while True:
            if time.monotonic() >= self._next_at:
                again = self.look()
                wait = min(self.again_seconds, self.config.interval_seconds) if again else self.config.interval_seconds
                self._next_at = time.monotonic() + wait
            self.liveness.beat()
            try:
                message = self.inbox.get(timeout=min(BEAT_SECONDS, max(0.0, self._next_at - time.monotonic())))
            except Empty:
                continue
            if isinstance(message, Stop):
                return message

    def look(self) -> bool:
        """Look once, tell what is new, and say whether to look again soon."""
        started = time.perf_counter()
        try:
            seen = look(self.config.root, self.book, self.config.node_env)
        except NotCheckable as error:
            self.metrics.errors.labels("look").inc()
            self.liveness.wrong("root", str(error))
            self.log.error("look_failed", reason=str(error))  # noqa: TRY400 - the reason is all there is to say
            return False
        self.liveness.right("root")
        self.metrics.looked(seen, self.clock(), time.perf_counter() - started)
        return self._tell(seen)

    def _tell(self, seen: Look) -> bool:
        try:
            told = self.ledger.told()
            news = policy.news(seen.findings, self._before, told)
            self.ledger.remember(news, {"at": self.clock(), "root": str(self.config.root), **seen.as_document()})
        except sqlite3.Error as error:
            self.metrics.errors.labels("state").inc()
            self.liveness.wrong("state", f"what was told cannot be stored: {error}")
            return False
        self.liveness.right("state")
        self._before = frozenset(each.identity for each in seen.findings)
        for each in news.told:
            self.log.warning(
                "finding", file=each.file, line=each.line, rule=each.rule, severity=each.severity, message=each.message
            )
        if news.told:
            self.notifier.tell(notices.found(news.told))
        if news.over:
            self.log.info("findings_mended", count=len(news.over), left=len(seen.findings))
            if not seen.findings:
                self.notifier.tell(notices.clean())
        return news.unsure
