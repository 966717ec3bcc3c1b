"""Fixtures that hand out the parts of the lab, and the word about what could not run here."""

import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lab.agent import AgentProcess
from lab.containers import Containers
from lab.engine import GivenEngine, PrivateEngine, given_engine
from lab.recorder import Recorder

IS_ROOT = os.geteuid() == 0
IS_REQUIRED = IS_ROOT or bool(os.environ.get("CI"))


@pytest.fixture(scope="session")
def engine() -> Iterator[GivenEngine]:
    """One engine for all tests: our own as root, else the given one. In CI and as root there has to be one."""
    if IS_ROOT:
        with PrivateEngine() as private:
            yield private
        return
    given = given_engine()
    if given is None:
        _not_run("no engine answers, and a private one needs root")
    given.import_image()
    yield given


@pytest.fixture
def own_engine() -> Iterator[PrivateEngine]:
    """Start an engine of its own for a test that stops, kills or freezes it."""
    if not IS_ROOT:
        pytest.skip("needs a private engine, which needs root")
    with PrivateEngine() as private:
        yield private


@pytest.fixture
def containers(engine: GivenEngine) -> Iterator[Containers]:
    with Containers(engine) as made:
        yield made


@pytest.fixture
def own_containers(own_engine: PrivateEngine) -> Iterator[Containers]:
    with Containers(own_engine) as made:
        yield made


@pytest.fixture
def recorder(engine: GivenEngine) -> Iterator[Recorder]:
    """Put a recorder before the session's engine."""
    with Recorder(engine.url) as before:
        yield before
        print("What was asked of the engine to do:", *before.requests("POST"), sep="\n")  # noqa: T201 - as below


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Make and start agents: `agent("autoheal", docker_host=recorder.url, env={...})`; they end with the test."""
    made: list[AgentProcess] = []

    def make(name: str, **further: Any) -> AgentProcess:
        made.append(AgentProcess(name, tmp_path, **further))
        return made[-1].start()

    yield make
    for process in made:
        process.close()
        print(process.report())  # noqa: T201 - pytest shows it where the test failed


def _not_run(reason: str) -> NoReturn:
    if IS_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail, in CI, a test that steps aside for want of a part: there `make test` installs every part."""
    report = yield
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if re.search(r"\b(needs|installed)\b", reason):
            report.outcome, report.longrepr = "failed", f"stepped aside where nothing may be missing: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each test that was not run, with the reason."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    if skipped:
        terminalreporter.section("not run here")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
