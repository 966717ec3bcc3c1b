"""The formats of the stack's configuration files, and which file is of which."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from confcheck.document import Reading
from confcheck.formats import ini, json, lines, toml, ucl, yaml

READERS: Mapping[str, Callable[[str], Reading]] = {
    "toml": toml.read,
    "json": json.read,
    "yaml": yaml.read,
    "ini": ini.read,
    "ucl": ucl.read,
    "lines": lines.read,
}
# A byte order mark is part of the first name for these readers of the servers; YAML and UCL pass over it.
MARK_IS_TEXT = frozenset({"toml", "json", "ini", "lines"})
_SUFFIXES = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".ini": "ini"}
_RSPAMD = {".conf": "ucl", ".inc": "ucl", ".map": "lines", ".list": "lines"}


def of(path: PurePosixPath) -> str | None:
    """Tell the format of a file by its path below the root; None: confcheck does not read it.

    Programs (.js, .lua), certificates, keys and whatever else has a name of its own are not read.
    """
    suffix = path.suffix.lower()
    if path.parts[0] == "rspamd":
        return "lines" if "maps.d" in path.parts else _RSPAMD.get(suffix)
    if path.parts[0] == "haraka" and suffix in {"", ".list"}:
        return "lines"
    return _SUFFIXES.get(suffix)
