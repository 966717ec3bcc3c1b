"""Real servers from the npm registry, installed once into a cache that later runs find again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent / "recipes"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wildduck-sidecars" / "lab"


def install(recipe: str) -> Path:
    """Install what the lock file of *recipe* says and return the folder whose `node_modules` holds it.

    Raises RuntimeError with npm's own words when that fails. Only one process installs at a time.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed here: apt-get install nodejs npm")
    lock = (RECIPES / recipe / "package-lock.json").read_bytes()
    folder = CACHE / f"{recipe}-{hashlib.sha256(lock).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not folder.exists():
            _install(RECIPES / recipe, folder)
    return folder


def _install(recipe: Path, folder: Path) -> None:
    staged = folder.with_suffix(".new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(recipe, staged)
    # `install`, not `ci`: the latter finds fault with lock files that npm itself wrote for optional peers.
    command = ["npm", "install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=staged, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} in {staged} failed:\n{done.stderr[-2000:]}")
    staged.rename(folder)


def lent_node(package: Path) -> tuple[str, list[str]]:
    """Give the path of this machine's Node, and what a container has to mount to run *package* with it.

    All of it, the libraries too, stands in the container where it lies here.
    """
    node, files = borrowed("node")
    return node, [f"{path}:{path}:ro" for path in (*files, package.parents[1])]


def borrowed(program: str) -> tuple[str, list[str]]:
    """Give the path of a *program* of this machine, and the files that make it run: itself and its libraries."""
    found = str(Path(shutil.which(program) or program).resolve())
    listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
    return found, [found, *re.findall(r"(/\S+) \(0x", listed)]
