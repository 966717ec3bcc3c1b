"""What metrics there are: as agents expose them, as others' were recorded, and as expressions name them."""

import re
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "data" / "expositions"
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}

# What each agent promises to expose: its names without their prefix, and their labels. All agents: the first list.
_ALL = """
build_info{version} start_time_seconds last_cycle_timestamp_seconds cycle_duration_seconds errors_total{op}
"""
PROMISED = {
    "autoheal": """
        docker_up docker_request_duration_seconds{op} docker_errors_total{op,reason} containers{health}
        container_health{container,health} heals_total{container,result} last_heal_timestamp_seconds{container}
        backoff_seconds{container} given_up{container}
    """,
    "certsync": """
        cert_not_after_timestamp_seconds{domain,where} last_success_timestamp_seconds syncs_total{result}
        sync_duration_seconds target_in_sync{domain,target} served_in_sync{domain,target} reloads_total{target,result}
    """,
    "logban": """
        log_lines_total{source} log_matches_total{source,rule} source_up{source} ignored_total{jail}
        source_last_line_timestamp_seconds{source} bans_total{jail} unbans_total{jail,reason} active_bans{jail,family}
        backend_bans{backend,family} backend_up{backend} backend_errors_total{backend,op}
    """,
    "stats": """
        probe_up{service} probe_duration_seconds{service} container_up{container}
        container_start_time_seconds{container}
    """,
    "confcheck": "findings{severity}",
}
_KINDS = (("_total", "counter"), ("_duration_seconds", "histogram"))
_GAUGES = {"stats_probe_duration_seconds"}  # of the last look alone


@dataclass(frozen=True, slots=True)
class Promise:
    """One metric that an agent exposes."""

    name: str
    kind: str
    labels: tuple[str, ...]


def promises(agent: str) -> list[Promise]:
    """List what an agent is to expose."""
    found = []
    for name, labels in re.findall(r"(\w+)(?:\{([\w,]*)\})?", _ALL + PROMISED[agent]):
        whole = f"{agent}_{name}"
        kind = next((kind for end, kind in _KINDS if name.endswith(end) and whole not in _GAUGES), "gauge")
        found.append(Promise(whole, kind, tuple(filter(None, labels.split(",")))))
    return found


def names(exposition: str) -> set[str]:
    """Name all series of an exposition: with `_bucket` and the like, and also those that have no sample yet."""
    found = set(re.findall(r"^([A-Za-z_:][\w:]*)(?:\{| )", exposition, re.MULTILINE))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", exposition, re.MULTILINE):
        found |= {name + suffix for suffix in _SUFFIXES.get(kind, ("",))}
    return found


def recorded() -> dict[str, str]:
    """Read the expositions of what does not run in a test, by job."""
    return {file.stem: file.read_text() for file in sorted(RECORDED.glob("*.prom"))}


_MATCHED_NAMES = re.compile(r'__name__=~"\(([\w|]+)\)(\w+)"')
_STRINGS = re.compile(r'"[^"]*"')
_NO_NAMES = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"  # labels
    r"|\{[^}]*\}|\[[^\]]*\]"  # matchers and ranges
)
_WORDS = {"and", "or", "unless", "bool", "offset"}


def named(expression: str) -> set[str]:
    """Name the metrics that an expression asks for."""
    found = {f"{one}{rest}" for ones, rest in _MATCHED_NAMES.findall(expression) for one in ones.split("|")}
    bare = _NO_NAMES.sub(" ", _STRINGS.sub("", expression))
    return found | (set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - _WORDS)
