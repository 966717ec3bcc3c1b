"""Images beside the small one of all test containers: those that were built for the tests, and HAProxy's."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from lab.engine import GivenEngine, busybox_image, given_engine
from lab.wire import call, demand

HAPROXY = "sidecars/haproxy"


def agent_image(engine: GivenEngine, agent: str) -> str:
    """Bring the image of *agent* that SIDECARS_IMAGE_... names from the engine that built it to *engine*."""
    variable = f"SIDECARS_IMAGE_{agent.upper()}"
    image = os.environ.get(variable)
    if not image:
        _not_run(f"{variable} names no image: scripts/prepared builds one and sets it")
    if not _has(engine, image):
        builder = given_engine()
        if builder is None or not _has(builder, image):
            pytest.fail(f"no engine here has {image}, which {variable} names")
        with subprocess.Popen(["docker", "--host", builder.url, "save", image], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "--host", engine.url, "load", "--quiet"], stdin=saved.stdout, check=True)
    return image


def haproxy_image(engine: GivenEngine) -> str:
    """Make an image of this machine's HAProxy, with a shell."""
    if not _has(engine, HAPROXY):
        program = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if program is None:
            _not_run("no haproxy is installed here")
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        libraries = re.findall(r"(/\S+) \(0x", listed)
        tree = busybox_image([Path(program), *map(Path, libraries)])
        demand(engine.url, "POST", "/images/create", {"fromSrc": "-", "repo": HAPROXY, "tag": "latest"}, body=tree)
    return HAPROXY


def _has(engine: GivenEngine, image: str) -> bool:
    return call(engine.url, "GET", f"/images/{image}/json")[0] == 200


def _not_run(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
