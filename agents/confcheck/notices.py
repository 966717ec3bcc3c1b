"""What people are told, in words."""

import socket
from collections.abc import Sequence

from confcheck.finding import Finding
from sidecarkit.notify import Notice

_MOST_LINES = 20


def found(findings: Sequence[Finding]) -> Notice:
    """Tell of findings that are new."""
    lines = [str(each) for each in findings[:_MOST_LINES]]
    if len(findings) > _MOST_LINES:
        lines.append(f"and {len(findings) - _MOST_LINES} more: see `confcheck status`")
    what = f"{findings[0].rule} in {findings[0].file}" if len(findings) == 1 else f"{len(findings)} new findings"
    facts = {"host": socket.gethostname(), "rules": sorted({each.rule for each in findings})}
    return Notice("configuration_findings", f"Configuration: {what}", "\n".join(lines), failure=True, facts=facts)


def clean() -> Notice:
    """Tell that all that was told of is mended."""
    facts = {"host": socket.gethostname()}
    return Notice("configuration_clean", "Configuration: all findings are mended", "", failure=False, facts=facts)
