import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from confcheck import ledger
from confcheck.config import Config
from confcheck.ledger import Ledger
from confcheck.loop import Loop
from confcheck.metrics import Metrics
from lab.confcheck import SHIPPED, copied, spoiled
from sidecarkit import logs, settings, state
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notice, Notifier


@dataclass
class Ear:
    """A target that keeps what it is told."""

    name: str = "ear"
    heard: list[Notice] = field(default_factory=list)

    def send(self, notice: Notice) -> None:
        self.heard.append(notice)


@dataclass
class Stage:
    """A loop over a copied tree."""

    root: Path
    loop: Loop
    ear: Ear
    registry: CollectorRegistry

    def heard(self) -> list[str]:
        self.loop.notifier.close()
        return [notice.event for notice in self.ear.heard]

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def stage(tmp_path: Path) -> Callable[[], Stage]:
    def make() -> Stage:
        root = tmp_path / "config" if (tmp_path / "config").exists() else copied(tmp_path)
        config = settings.read(Config, {"CONFCHECK_ROOT": str(root), "CONFCHECK_STATE": str(tmp_path / "state")})
        state.prepare(config.state, "CONFCHECK_STATE")
        registry, ear, log = CollectorRegistry(), Ear(), logs.get("test")
        loop = Loop(
            config=config,
            book=SHIPPED,
            ledger=Ledger(config.state, log),
            metrics=Metrics(registry),
            liveness=Liveness(),
            notifier=Notifier([ear], log),
            log=log,
            inbox=SimpleQueue(),
        )
        return Stage(root, loop, ear, registry)

    return make


def test_the_series_are_there_before_the_first_look(stage: Callable[[], Stage]) -> None:
    made = stage()
    assert [made.figure("confcheck_findings", severity=word) for word in ("error", "warning")] == [0, 0]
    assert made.figure("confcheck_errors_total", op="look") == 0


def test_a_finding_is_counted_at_once_and_told_once_it_has_stayed(stage: Callable[[], Stage]) -> None:
    made = stage()
    spoiled(made.root, "haraka/me", "mail.postbox.test", "__HOST__")

    assert made.loop.look() is True, "it looks again soon"
    assert made.figure("confcheck_findings", severity="error") == 1
    assert made.loop.look() is False
    made.loop.look()

    assert made.heard() == ["configuration_findings"]
    assert "haraka/me:1 leftover-placeholder" in made.ear.heard[0].body


def test_a_file_that_was_half_written_for_a_moment_is_not_told(stage: Callable[[], Stage]) -> None:
    made = stage()
    path = made.root / "wildduck/api.toml"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    made.loop.look()
    path.write_bytes(whole)
    made.loop.look()
    made.loop.look()
    assert made.heard() == []


def test_what_was_told_is_not_told_again_by_the_next_process(stage: Callable[[], Stage]) -> None:
    first = stage()
    spoiled(first.root, "haraka/me", "mail.postbox.test", "__HOST__")
    first.loop.look()
    first.loop.look()
    assert first.heard() == ["configuration_findings"]
    first.loop.ledger.close()

    second = stage()
    second.loop.look()
    second.loop.look()

    assert second.heard() == []


def test_when_all_is_mended_that_is_told_and_the_same_defect_is_news_again(stage: Callable[[], Stage]) -> None:
    made = stage()
    for _ in range(2):
        spoiled(made.root, "haraka/me", "mail.postbox.test", "__HOST__")
        made.loop.look()
        made.loop.look()
        spoiled(made.root, "haraka/me", "__HOST__", "mail.postbox.test")
        made.loop.look()
    assert made.heard() == ["configuration_findings", "configuration_clean"] * 2


def test_a_root_that_is_gone_is_unhealthy_until_it_is_back(stage: Callable[[], Stage]) -> None:
    made = stage()
    made.root.rename(made.root.with_name("away"))
    made.loop.look()
    assert "holds none" in made.loop.liveness.reasons()[0] or "cannot be read" in made.loop.liveness.reasons()[0]
    assert made.figure("confcheck_errors_total", op="look") == 1

    made.root.with_name("away").rename(made.root)
    made.loop.look()

    assert made.loop.liveness.reasons() == []


def test_findings_alone_are_no_ill_health(stage: Callable[[], Stage]) -> None:
    made = stage()
    spoiled(made.root, "haraka/me", "mail.postbox.test", "__HOST__")
    made.loop.look()
    made.loop.look()
    assert made.loop.liveness.reasons() == []


def test_the_last_look_can_be_read_beside_the_agent(stage: Callable[[], Stage]) -> None:
    made = stage()
    line = spoiled(made.root, "haraka/me", "mail.postbox.test", "__HOST__")
    made.loop.look()

    document: dict[str, Any] = ledger.read_status(made.loop.config.state)

    assert [(each["file"], each["line"]) for each in document["findings"]] == [("haraka/me", line)]
    assert json.dumps(document)
