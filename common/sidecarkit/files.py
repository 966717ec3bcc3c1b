"""Opens files in folders that others write to: a pipe in the place of a file must not make anybody wait."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


class NotRegular(OSError):
    """There is something, but no file."""


def open_regular(path: str | Path) -> FileIO:
    """Open a file for reading. Raises OSError, `NotRegular` for what is no file."""
    file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
