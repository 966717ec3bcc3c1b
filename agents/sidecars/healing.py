"""What autoheal needs of the containers that it watches."""

import difflib
import re
from collections.abc import Iterator

from autoheal import wishes
from autoheal.config import Config
from sidecarkit import settings
from sidecarkit.containers import is_false, is_true
from sidecars import remedy
from sidecars.deployment import Deployment
from sidecars.facts import Container
from sidecars.finding import Finding

# Tests that ask more than their own process: (kind, pattern in the test, what is wrong with it). The test itself is not
# shown: `redis-cli -a PASSWORD ping` is a popular one.
_ASKS_OTHERS = (
    (
        "wildduck",
        r"/health\b",
        "it asks for /health, which writes to MongoDB and Redis: when one of them hangs, WildDuck is restarted for it",
    ),
    (
        "webmail",
        r":3000(/?|/account\S*)(['\"\s]|$)",
        "it asks for a page, which makes a session in Redis each time; /favicon.ico makes none",
    ),
    (
        "redis",
        r"redis-cli(?!.*PONG).*ping",
        "it does not look at the answer: redis-cli ends with 0 on NOAUTH and LOADING, too",
    ),
)


def findings(deployment: Deployment) -> Iterator[Finding]:
    """Judge every container that autoheal shall watch."""
    for one in deployment.asking("autoheal"):
        yield from _healthcheck(one, deployment)
        yield from _labels(one)
    for one in deployment.judged:
        yield from _asks_others(one)
        yield from _namespace(one, deployment)
        if one.kind == "other-healer" and one.running and deployment.agents("autoheal"):
            told = f"{one.row.image} runs in {one.row.name}, beside autoheal"
            yield Finding("other_healer", one, told, f"take {one.name} out; autoheal reads its variables and labels")
    for view in deployment.said.autoheal or ():
        if view.get("given_up"):
            subject = next((one for one in deployment.judged if one.row.id == view.get("container_id")), None)
            told = (
                f"{view.get('restarts_spent')} of {view.get('max_restarts')} heals failed, health {view.get('health')}"
            )
            name = view.get("container")
            mend = f"look at `autoheal history --container {name}`, mend it, then `autoheal resume {name}`"
            yield Finding("given_up", subject, told, mend)


def _healthcheck(one: Container, deployment: Deployment) -> Iterator[Finding]:
    if one.details is None or one.details.healthcheck:
        return
    agent = deployment.agent("autoheal")
    everywhere = agent.setting("AUTOHEAL_EXITED") if agent else ""
    if is_true(one.row.labels.get("autoheal.exited", everywhere)):
        return  # watched for its end, which needs no healthcheck
    told = f"{deployment.healing_label}=true, and neither the image nor the service has a healthcheck"
    yield Finding("no_healthcheck", one, told, remedy.healthcheck(one))


def _labels(one: Container) -> Iterator[Finding]:
    _, complaints = wishes.read(one.row.labels, settings.read(Config, {}))
    for complaint in complaints:
        yield Finding("label_unreadable", one, complaint, "correct the label; until then its default is taken")
    for name in one.row.labels:
        if name.startswith("autoheal.") and name not in wishes.LABELS:
            near = difflib.get_close_matches(name, wishes.LABELS, n=1)
            known = near[0] if near else ", ".join(wishes.LABELS)
            yield Finding("label_unreadable", one, f"{name} is no label of autoheal", f"rename it: {known}")


def _asks_others(one: Container) -> Iterator[Finding]:
    test = " ".join(one.details.healthcheck) if one.details else ""
    for kind, pattern, why in _ASKS_OTHERS:
        if one.kind == kind and re.search(pattern, test):
            yield Finding("healthcheck_of_others", one, why, remedy.healthcheck(one))


def _namespace(one: Container, deployment: Deployment) -> Iterator[Finding]:
    mode, _, donor = one.row.network_mode.partition(":")
    if mode != "container" or not donor or is_false(one.row.labels.get("autoheal")):
        return
    if any(donor == other.row.name or other.row.id.startswith(donor) for other in deployment.containers):
        return
    told = f"its network is that of container {donor[:12]}, which does not exist any more"
    yield Finding("namespace_lost", one, told, f"docker compose up --detach --force-recreate {one.name}")
