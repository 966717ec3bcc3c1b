"""Stand-ins for tests. They ship with the kit that they imitate."""

from sidecarkit.testing.engine import FakeEngine

__all__ = ["FakeEngine"]
