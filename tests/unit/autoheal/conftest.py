"""Stages for the histories that the tests replay."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.stage import Stage


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., Stage]:
    """Make a stage with other settings: `make_stage(dry_run="true")`."""
    return lambda **environ: Stage(tmp_path, **environ)


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()
