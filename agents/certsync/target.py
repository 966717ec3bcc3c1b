"""A target: what a consumer wants, where it wants it, how it is told, and where it serves it."""

import re
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path

from certsync.forms import Form
from certsync.policy import Wanted
from certsync.store import Owner


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a target."""

    form: Form
    path: str
    mode: int
    root: str | None = None  # the mount that links may not lead out of; None: whatever mount it lies on


DEFAULT_MODES = {form: 0o600 if form.secret else 0o640 for form in Form}


@dataclass(frozen=True, slots=True)
class Touch:
    """Set a file's time, after the pair is in place: Haraka then reads its TLS files again."""

    path: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart a container, named by its name or its Compose service."""

    container: str
    stop_seconds: int | None = None
    # How long the consumer may take to serve the new pair by itself, before it is restarted after all.
    patience_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to a container's main process."""

    container: str
    name: str


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command inside a container. Needs more of a socket proxy than certsync's other ways."""

    container: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Http:
    """Call an address. *wildduck*: post the pair as WildDuck's `POST /certs` takes it, once for each domain."""

    url: str
    method: str = "POST"
    wildduck: bool = True
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Run a command beside certsync."""

    command: tuple[str, ...]


Reload = Touch | Restart | Signal | Exec | Http | Command | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a target serves. *starttls*: smtp, imap or pop3, empty for TLS from the first byte."""

    host: str
    port: int
    starttls: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """All that is told of one consumer."""

    name: str
    wanted: Wanted
    outputs: tuple[Output, ...] = ()
    source: str | None = None  # None: all of them
    owner: Owner | None = None
    reload: Reload = None
    verify: Endpoint | None = None
    dhparams: Output | None = None  # made when it is absent: without it Haraka cannot start with a pair
    password_file: Path | None = None  # for PKCS#12

    def password(self) -> bytes | None:
        """Read the PKCS#12 password. Raises OSError."""
        return self.password_file.read_bytes().rstrip(b"\r\n") if self.password_file else None


_SIGNALS = {one.value: one.name.removeprefix("SIG") for one in signal.Signals}

# Where SIGHUP does not mean "read your files again": Haraka flushes its queue, ZoneMTA ends, WildDuck blocks for
# seconds and writes a heap snapshot with the private key in it to /tmp.
_HANGUP_KILLS = re.compile(
    r"(?:^|[-_])(?:haraka|zone-?mta|wildduck)(?:[-_](?:haraka|wildduck|zone-?mta))*(?:[-_]\d+)?$"
)


def signal_name(text: str) -> str:
    """Read a signal as the engine does: by its name in any case, with or without SIG, or by its number.

    Raises ValueError: what is accepted.
    """
    bare = text.strip().upper().removeprefix("SIG")
    if re.fullmatch(r"\+?0*[1-9][0-9]?", bare, re.ASCII):
        bare = _SIGNALS.get(int(bare), "")
    if bare not in _SIGNALS.values() and not re.fullmatch(r"RTM(IN\+|AX-)[0-9]{1,2}", bare, re.ASCII):
        raise ValueError("the name of a signal, such as HUP or USR1")
    return bare


def objection_to_signal(name: str, *consumers: str) -> str | None:
    """Say why signal *name* must not be sent to a container with one of these names, services or images."""
    try:
        if signal_name(name) != "HUP":
            return None
    except ValueError:
        return None  # the engine knows it no better
    for consumer in consumers:
        bare = consumer.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
        if _HANGUP_KILLS.search(bare):
            return f"SIGHUP does not reload {bare}: Haraka flushes its queue, ZoneMTA ends, WildDuck dumps its memory"
    return None


def signal_for(text: str, *consumers: str) -> str:
    """Read a signal that one of *consumers* shall get. Raises ValueError: what is accepted, or why it must not."""
    name = signal_name(text)
    if objection := objection_to_signal(name, *consumers):
        raise ValueError(f"another way to reload ({objection})")
    return name


def endpoint(text: str, default_host: str) -> Endpoint | None:
    """Read `[HOST]:PORT[/smtp|/imap|/pop3]`, or `none`. Raises ValueError: what is accepted."""
    if text == "none":
        return None
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]*):(\d{1,5})(?:/(smtp|imap|pop3|tls))?", text)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ValueError("[host]:port with /smtp, /imap or /pop3 for STARTTLS, or none")
    starttls = "" if found[3] in {None, "tls"} else found[3]
    return Endpoint(found[1].strip("[]") or default_host, int(found[2]), starttls)


def reload(text: str, container: str, *names: str) -> Reload:
    """Read the short form that labels use. Raises ValueError: what is accepted.

    *names* are what else the *container* is called: its service, its image.
    """
    word, _, rest = text.partition(":")
    if text == "none":
        return None
    if word == "restart":
        return Restart(rest or container)
    if word == "touch" and rest.startswith("/"):
        return Touch(rest)
    if word == "signal" and rest:
        return Signal(container, signal_for(rest, container, *names))
    if word == "exec" and rest.strip():
        return Exec(container, _words(rest))
    if word in {"http", "https"} and rest.startswith("//"):
        return Http(text)
    raise ValueError("none, restart, touch:/path, signal:NAME, exec:COMMAND or an http:// address of WildDuck's API")


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ValueError("a command whose quotes are closed") from None


def owner(text: str) -> Owner:
    """Read `uid:gid`, or one number for both. Raises ValueError: what is accepted."""
    found = re.fullmatch(r"(\d{1,9})(?::(\d{1,9}))?", text, re.ASCII)
    if found is None:
        raise ValueError('numbers such as "1000:1000": names mean something else in the consumer')
    return Owner(int(found[1]), int(found[2] or found[1]))


def domain(text: str) -> str:
    """Read a host name, in its ASCII form and lower case. Raises ValueError: what is accepted."""
    try:
        name = text.strip().rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        name = ""
    if not re.fullmatch(
        r"(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name
    ):
        raise ValueError("a host name such as mail.example.com")
    return name
