"""What somebody who has broken into an agent asks of the engine, and how it is disguised."""

from collections.abc import Iterator

DANGEROUS = [
    ("POST", "/containers/create"),
    ("POST", "/containers/ID/exec"),
    ("POST", "/exec/ID/start"),
    ("GET", "/containers/ID/archive?path=/etc"),
    ("PUT", "/containers/ID/archive?path=/"),
    ("HEAD", "/containers/ID/archive?path=/"),
    ("GET", "/containers/ID/export"),
    ("POST", "/containers/ID/attach?stream=1"),
    ("GET", "/containers/ID/attach/ws"),
    ("POST", "/containers/ID/update"),
    ("POST", "/containers/ID/rename?name=other"),
    ("POST", "/containers/ID/start"),
    ("POST", "/containers/ID/pause"),
    ("DELETE", "/containers/ID?force=1"),
    ("POST", "/containers/prune"),
    ("POST", "/commit?container=ID"),
    ("POST", "/build"),
    ("GET", "/images/json"),
    ("POST", "/images/create?fromImage=busybox"),
    ("POST", "/images/load"),
    ("DELETE", "/images/sidecars/busybox?force=1"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("DELETE", "/volumes/ID"),
    ("POST", "/networks/create"),
    ("POST", "/networks/ID/connect"),
    ("GET", "/info"),
    ("GET", "/system/df"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("POST", "/auth"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
    ("POST", "/swarm/init"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull?remote=x"),
    ("GET", "/distribution/busybox/json"),
]
ENCODED = {"/": "%2f", "c": "%63", "e": "%65"}


def disguised(path: str) -> Iterator[str]:
    """Write *path* in all the ways in which somebody may hope that a proxy reads another one than the engine."""
    for version in ("", "/v1.41", "/v1.24", "/v1.99", "/v2.0", "/latest"):
        yield version + path
    yield "/" + path
    yield path.replace("/", "//")
    yield "/." + path
    yield "/containers/json/../.." + path
    yield "/v1.41/_ping/../.." + path
    yield "/_ping/.." + path
    yield "/containers/ID/json/../../.." + path
    yield "/_ping%2f.." + path
    yield "/_ping/%2e%2e" + path
    yield "/_ping%0d%0a" + path
    yield "/_ping;" + path
    yield "/_ping%00" + path
    yield path.replace("?", "/json?") if "?" in path else path + "/json/"
    yield path.upper()
    for letter, code in ENCODED.items():
        yield path[0] + path[1:].replace(letter, code)
        yield path[0] + path[1:].replace(letter, code.upper())
    for authority in ("http://engine", "http://engine:2375", "https://engine", "unix://engine"):
        yield authority + path
