"""certsync.yml: sources and targets. Every mistake is told at once, each with its path in the file.

`certsync.schema.json` beside this module says the same to editors; a test keeps the two of one mind.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certsync import target as targets
from certsync.forms import Form
from certsync.policy import Wanted
from certsync.reading import Complaints, Reader, load
from certsync.source import AcmeJson, PemPair, Source
from certsync.target import (
    DEFAULT_MODES,
    Command,
    Endpoint,
    Exec,
    Http,
    Output,
    Reload,
    Restart,
    Signal,
    Target,
    Touch,
    signal_for,
)


@dataclass(frozen=True, slots=True)
class Document:
    """What the file says."""

    sources: tuple[Source, ...] = ()
    targets: tuple[Target, ...] = ()


def read(text: str) -> Document:
    """Read the file, or raise `Complaints` with everything that is wrong."""
    loaded = load(text)
    reader = _Reader()
    top = reader.mapping(loaded if loaded is not None else {}, "", {"sources", "targets"})
    sources = tuple(reader.sources(top.get("sources")))
    found = tuple(reader.targets(top.get("targets"), {one.name for one in sources}))
    if reader.complaints:
        raise Complaints(reader.complaints)
    return Document(sources, found)


class _Reader(Reader):
    """Reads the parts of this file."""

    def sources(self, value: Any) -> Iterator[Source]:
        for name, inner in self.named(value, "sources"):
            path = f"sources.{name}"
            fields = self.mapping(inner, path, {"acme_json", "resolver", "certificate", "key"})
            if "acme_json" in fields:
                for field in ("certificate", "key"):
                    if field in fields:
                        self.complain(
                            f"{path}.{field}", "nothing: a source is an acme_json, or a certificate and a key"
                        )
                where = self.path(fields["acme_json"], f"{path}.acme_json")
                resolver = self.text(fields.get("resolver"), f"{path}.resolver")
                yield AcmeJson(name, Path(where or "/"), resolver)
            elif inner is not None and isinstance(inner, dict):
                for field in ("certificate", "key"):
                    if field not in fields:
                        self.complain(f"{path}.{field}", "a path, it is missing (or acme_json in place of both)")
                if "resolver" in fields:
                    self.complain(f"{path}.resolver", "nothing: only an acme_json has resolvers")
                certificate, key = (self.path(fields.get(one), f"{path}.{one}") for one in ("certificate", "key"))
                yield PemPair(name, Path(certificate or "/"), Path(key or "/"))

    def targets(self, value: Any, sources: set[str]) -> Iterator[Target]:
        for name, inner in self.named(value, "targets"):
            yield self.target(name, inner, sources)

    def target(self, name: str, value: Any, sources: set[str]) -> Target:
        path = f"targets.{name}"
        fields = self.mapping(value, path, _TARGET_KEYS, required=("domains",) if isinstance(value, dict) else ())
        source = self.text(fields.get("source"), f"{path}.source")
        if source is not None and source not in sources:
            self.complain(
                f"{path}.source", f"one of the sources: {', '.join(sorted(sources)) or 'none is named'}", source
            )
        reload = self.reload(fields.get("reload"), f"{path}.reload")
        outputs = self.outputs(fields, path)
        if (
            isinstance(value, dict)
            and not outputs
            and not isinstance(reload, Http)
            and not any(f in fields for f in Form)
        ):
            self.complain(path, f"a file to write ({', '.join(Form)}), or reload.http")
        password = self.path(fields.get("password_file"), f"{path}.password_file")
        return Target(
            name=name,
            wanted=Wanted(
                domains=self.domains(fields.get("domains"), f"{path}.domains"),
                resolver=self.text(fields.get("resolver"), f"{path}.resolver"),
                allow_staging=self.boolean(fields.get("allow_staging"), f"{path}.allow_staging"),
            ),
            outputs=outputs,
            source=source,
            owner=self.converted(fields.get("owner"), f"{path}.owner", targets.owner),
            reload=reload,
            verify=self.endpoint(fields.get("verify"), f"{path}.verify"),
            dhparams=self.dhparams(fields.get("dhparams"), f"{path}.dhparams", reload),
            password_file=Path(password) if password else None,
        )

    def outputs(self, fields: Mapping[str, Any], path: str) -> tuple[Output, ...]:
        modes: dict[Form, int | None] = {}
        if "modes" in fields:
            for form, mode in self.mapping(fields["modes"], f"{path}.modes", set(Form)).items():
                if form in set(Form):
                    modes[Form(form)] = self.mode(mode, f"{path}.modes.{form}", Form(form))
                if form in set(Form) and form not in fields:
                    self.complain(f"{path}.modes.{form}", f"the path of {form} too")
        found = [
            Output(form, where, modes.get(form) or DEFAULT_MODES[form])
            for form in Form
            if form in fields and (where := self.path(fields[form], f"{path}.{form}")) is not None
        ]
        places = [one.path for one in found]
        if len(places) != len(set(places)):
            self.complain(path, "a path of its own for each file (combined holds key and certificate in one)")
        return tuple(found)

    def mode(self, value: Any, path: str, form: Form) -> int | None:
        if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
            self.complain(path, 'a mode in quotes such as "0640"', value)
            return None
        mode = int(value, 8)
        if form.secret and mode & 0o007:
            self.complain(path, "a mode that lets nobody but owner and group read the key", value)
        return mode

    def reload(self, value: Any, path: str) -> Reload:
        if value is None or value == "none":
            return None
        fields = self.mapping(value, path, _RELOAD_KEYS)
        kinds = [key for key in _RELOAD_KINDS if key in fields]
        if len(kinds) != 1:
            if isinstance(value, dict):
                self.complain(path, f"exactly one of {', '.join(_RELOAD_KINDS)}, or none", sorted(map(str, value)))
            return None
        kind = kinds[0]
        for key in fields:
            if key in _RELOAD_KEYS and key != kind and kind not in _BELONGS_TO[key]:
                self.complain(f"{path}.{key}", f"nothing: it belongs to {' and '.join(_BELONGS_TO[key])}")
        return _RELOADS[kind](self, fields, path)

    def touch(self, fields: Mapping[str, Any], path: str) -> Reload:
        return Touch(self.path(fields["touch"], f"{path}.touch") or "/")

    def restart(self, fields: Mapping[str, Any], path: str) -> Reload:
        return Restart(
            container=self.required_text(fields["restart"], f"{path}.restart"),
            stop_seconds=self.number(fields.get("stop_seconds"), f"{path}.stop_seconds"),
            patience_seconds=float(
                self.number(fields.get("unless_served_within"), f"{path}.unless_served_within") or 0
            ),
        )

    def exec(self, fields: Mapping[str, Any], path: str) -> Reload:
        return Exec(self.container(fields, path), self.command(fields["exec"], f"{path}.exec"))

    def signal(self, fields: Mapping[str, Any], path: str) -> Reload:
        name = self.required_text(fields["signal"], f"{path}.signal")
        container = self.container(fields, path)
        try:
            name = signal_for(name, container)
        except ValueError as error:
            self.complain(f"{path}.signal", str(error), name)
        return Signal(container, name)

    def http(self, fields: Mapping[str, Any], path: str) -> Reload:
        inner = self.mapping(fields["http"], f"{path}.http", {"url", "method", "body", "token_file"}, required=("url",))
        url = self.text(inner.get("url"), f"{path}.http.url") or ""
        if "url" in inner and not re.match(r"https?://[^\s/]+", url):
            self.complain(f"{path}.http.url", "an http:// or https:// address", url)
        token = self.path(inner.get("token_file"), f"{path}.http.token_file")
        return Http(
            url=url,
            method=self.one_of(inner.get("method", "POST"), f"{path}.http.method", ("POST", "PUT", "GET")),
            wildduck=self.one_of(inner.get("body", "wildduck"), f"{path}.http.body", ("wildduck", "none"))
            == "wildduck",
            token_file=Path(token) if token else None,
        )

    def run(self, fields: Mapping[str, Any], path: str) -> Reload:
        return Command(self.command(fields["command"], f"{path}.command"))

    def container(self, fields: Mapping[str, Any], path: str) -> str:
        if "container" not in fields:
            self.complain(f"{path}.container", "the name of a container or service, it is missing")
            return ""
        return self.required_text(fields["container"], f"{path}.container")

    def command(self, value: Any, path: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
            self.complain(path, "a list of words such as [nginx, -s, reload]: no shell reads it", value)
            return ()
        return tuple(value)

    def endpoint(self, value: Any, path: str) -> Endpoint | None:
        if value is None or value == "none":
            return None
        fields = self.mapping(value, path, {"address", "starttls"}, required=("address",))
        starttls = fields.get("starttls")
        protocol = self.one_of(starttls if starttls is not None else "none", f"{path}.starttls", _STARTTLS)
        address = fields.get("address", "localhost:1")
        try:
            found = targets.endpoint(str(address), "") if "/" not in str(address) else None
        except ValueError:
            found = None
        if found is None or not found.host:
            self.complain(f"{path}.address", "host:port such as haraka:25", address)
            return None
        return Endpoint(found.host, found.port, "" if protocol == "none" else protocol)

    def dhparams(self, value: Any, path: str, reload: Reload) -> Output | None:
        where = self.path(value, path)
        if where is None and isinstance(reload, Touch) and reload.path.endswith("/tls.ini"):
            where = reload.path.removesuffix("tls.ini") + "dhparams.pem"  # the consumer is a Haraka
        return dhparams(where) if where else None

    def domains(self, value: Any, path: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            if value is not None:
                self.complain(path, "a list of host names", value)
            return ()
        found = (self.converted(one, f"{path}[{index}]", targets.domain) for index, one in enumerate(value))
        return tuple(dict.fromkeys(name for name in found if name is not None))


def dhparams(path: str) -> Output:
    """Describe the parameters file of a Haraka; it holds nothing secret."""
    return Output(Form.CERTIFICATE, path, 0o644)


_TARGET_KEYS = {
    *Form,
    *("domains", "source", "resolver", "allow_staging", "owner", "modes", "reload", "verify", "dhparams"),
    "password_file",
}
_STARTTLS = ("none", "smtp", "imap", "pop3")
_BELONGS_TO = {
    "container": ("exec", "signal"),
    "stop_seconds": ("restart",),
    "unless_served_within": ("restart",),
    **dict.fromkeys(("touch", "restart", "exec", "signal", "http", "command"), ()),
}
_RELOAD_KEYS = set(_BELONGS_TO)
_RELOADS: dict[str, Callable[[_Reader, Mapping[str, Any], str], Reload]] = {
    "touch": _Reader.touch,
    "restart": _Reader.restart,
    "exec": _Reader.exec,
    "signal": _Reader.signal,
    "http": _Reader.http,
    "command": _Reader.run,
}
_RELOAD_KINDS = tuple(_RELOADS)
