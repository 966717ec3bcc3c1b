"""Whether certsync can read its source, reach its targets, and what is served in the end."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from certsync import labels
from certsync.labels import Consumer
from certsync.target import Target
from sidecars import remedy
from sidecars.deployment import Deployment, Served, Store
from sidecars.facts import Container, Details
from sidecars.finding import Finding

STORE = "/traefik/acme.json"  # certsync's default
_SOON = timedelta(days=14)
_READS_ALL = {"ALL", "DAC_OVERRIDE", "DAC_READ_SEARCH"}  # of root; for others a capability is only a word


def findings(deployment: Deployment) -> Iterator[Finding]:
    """Judge source, targets and servers."""
    agent = deployment.agent("certsync")
    if agent:
        yield from _writers(deployment)
        for store in deployment.stores:
            yield from _store(store)
    told = _told(deployment)
    for one in deployment.asking("certsync"):
        if agent and one.name not in told:
            yield from _deliverable(one, agent)
    yield from _sources(deployment, agent)
    for name, target in told.items():
        yield from _target(name, target, deployment)
    for served in deployment.served:
        yield from _served(served, deployment, told.get(served.container.name))


def _told(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Give what certsync says of its targets, by name."""
    document = deployment.said.certsync or {}
    return {str(one.get("name")): one for one in document.get("targets") or [] if isinstance(one, dict)}


def store_path(agent: Container) -> str | None:
    """Tell where certsync reads acme.json; None where its file may name other sources."""
    named = agent.setting("ACME_PATH")
    if named or agent.details is None:
        return named or None
    other = "CERTSYNC_CONFIG" in agent.details.variables or agent.mount_at("/etc/certsync") is not None
    return None if other else STORE


def _writers(deployment: Deployment) -> Iterator[Finding]:
    for one in deployment.judged:
        if one.kind == "haraka-cert-sync" and one.running and any(a.running for a in deployment.agents("certsync")):
            told = (
                f"{one.row.name} runs beside certsync: both write Haraka's pair, and each restarts it for the other's"
            )
            mend = f"{remedy.lines(one, 'profiles: [never]')}\n# then: docker rm --force {one.row.name}"
            yield Finding("two_writers", one, told, mend)


def _store(store: Store) -> Iterator[Finding]:
    agent, path = store.container, store.path
    folder = PurePosixPath(path).parent
    mount = agent.mount_at(path)
    volume = f'volumes: ["${{TRAEFIK_VOLUME}}:{folder}:ro"]  # the folder in which Traefik keeps it, not the file'
    if mount is None or store.kind == "missing":
        told = f"nothing is mounted at {folder}" if mount is None else f"there is no {path} in its container"
        yield Finding("acme_missing", agent, told, remedy.lines(agent, volume))
        return
    single = mount.destination == PurePosixPath(path)
    if store.kind == "folder":
        told = f"{path} is a folder: Docker makes one when {mount.source} does not exist at the first start"
        mend = f"{remedy.lines(agent, volume)}\n# and remove the empty folder {mount.source}"
        yield Finding("acme_missing", agent, told, mend)
    elif single:
        told = f"{mount.source} is mounted as the file {path}: one that is renamed into its place is never seen"
        yield Finding("acme_single_file", agent, told, remedy.lines(agent, volume))
    if store.kind == "file" and agent.details and not _may_read(agent.details, store):
        user = agent.details.user or "0"
        told = f"{path} has owner {store.owner} and mode {store.mode:04o}, and certsync runs as {user}"
        yield Finding("acme_unreadable", agent, told, remedy.lines(agent, f'user: "{store.owner}"'))


def _may_read(reader: Details, store: Store) -> bool:
    if store.mode & 0o044:  # the group may well be one of its own
        return True
    user = reader.user.partition(":")[0] or "0"
    if user in {"0", "root"} and _READS_ALL & reader.capabilities:
        return True
    return user == str(store.owner) or not user.isdigit()


def _deliverable(one: Container, agent: Container) -> Iterator[Finding]:
    asked = labels.read(Consumer(one.row, one.mounts), agent.mounts)
    if asked.refusal:
        told = asked.refusal.detail
        if asked.target.wanted.domains:
            yield Finding("certificate_undeliverable", one, told, told)
        else:  # labels that cannot be read make a target that wants nothing
            yield Finding("label_unreadable", one, told, "correct the label as it says")


def _sources(deployment: Deployment, agent: Container | None) -> Iterator[Finding]:
    document = deployment.said.certsync or {}
    for source in document.get("sources") or []:
        reason, detail = source.get("reason"), source.get("detail")
        if reason:
            mend = "make the file readable for certsync and whole; `certsync list` shows what is in it"
            yield Finding("acme_unreadable", agent, f"source {source.get('name')}: {reason}: {detail}", mend)


def _target(name: str, target: dict[str, Any], deployment: Deployment) -> Iterator[Finding]:
    reason, detail = target.get("reason"), target.get("detail")
    if not reason or str(reason).startswith("source_"):
        return  # well, or its source was told of already
    subject = next((one for one in deployment.judged if one.name == name), deployment.agent("certsync"))
    told = f"target {name} is {target.get('state')}: {reason}: {detail}"
    rule = {"undeliverable": "certificate_undeliverable", "verify_failed": "certificate_served_differs"}.get(
        str(reason), "certificate_refused"
    )
    mend = str(detail) if reason == "undeliverable" else "mend what the reason says; then `certsync sync`"
    yield Finding(rule, subject, told, mend)


def _served(served: Served, deployment: Deployment, target: dict[str, Any] | None) -> Iterator[Finding]:
    one = served.container
    due = served.on_disk or ((target or {}).get("on_disk") or {}).get("serial")
    if due and due != served.serial and (target or {}).get("reason") != "verify_failed":
        told = f"{served.where} serves serial {served.serial}, and its file holds serial {due}"
        mend = f"docker restart {one.row.name}; for renewals without a restart:\n" + remedy.label(
            one, "certsync.preset", one.kind if one.kind in labels.PRESETS else "NAME"
        )
        yield Finding("certificate_served_differs", one, told, mend)
    left = served.not_after - deployment.now
    if left < _SOON:
        ends = f"{served.where} serves serial {served.serial}, valid until {served.not_after:%Y-%m-%d %H:%M} UTC"
        rule = "certificate_expired" if left < timedelta(0) else "certificate_expiring"
        mend = "Traefik renews 30 days before the end: read its log for the reason, and `certsync list`"
        yield Finding(rule, one, ends, mend)


def target_of(one: Container) -> Target:
    """Tell what a consumer asks for by its labels; without names and places where they cannot be read."""
    return labels.read(Consumer(one.row, one.mounts), None).target


def certificate_file(one: Container) -> str | None:
    """Name the file with the certificate inside the consumer; None where a key may lie in the same file."""
    own = (
        one.row.labels.get("certsync.certificate")
        or labels.PRESETS.get(one.row.labels.get("certsync.preset", ""), labels.Preset()).certificate
    )
    return None if one.row.labels.get("certsync.combined") or not own else own
