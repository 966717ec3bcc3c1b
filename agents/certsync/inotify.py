"""Hears that files in a directory were closed after writing, or moved in. Linux, without a library.

Only CLOSE_WRITE and MOVED_TO: a watcher woken by MODIFY reads acme.json empty or half written in up to a quarter of
its wake-ups, one woken by CLOSE_WRITE does not. Watching the directory survives a file that is replaced.
"""

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_CLOSE_WRITE, _MOVED_TO, _Q_OVERFLOW, _IGNORED = 0x8, 0x80, 0x4000, 0x8000
_HEADER = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Watcher:
    """Calls *changed* in a thread of its own, some time after any of *files* was written; never reads them itself.

    A directory that does not exist, or a file system whose changes do not show (NFS, shared folders of virtual
    machines), is the business of whoever polls besides.
    """

    def __init__(self, files: Iterable[Path], changed: Callable[[], None]) -> None:
        self._wanted: dict[Path, set[bytes]] = {}
        for file in files:
            self._wanted.setdefault(file.parent, set()).add(os.fsencode(file.name))
        self._changed = changed
        self._watched: dict[int, Path] = {}
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._stop_reading, self._stop_writing = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="inotify", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self.rewatch()
        self._thread.start()

    def rewatch(self) -> list[Path]:
        """Watch the directories that are not watched yet, name those that cannot be. Cheap; call it now and then."""
        missing = []
        for directory in self._wanted:
            mask = ctypes.c_uint32(_CLOSE_WRITE | _MOVED_TO)
            # Asked again for a directory it watches, the kernel answers with the same number.
            watch = _libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask)
            if watch < 0:
                missing.append(directory)
            else:
                self._watched[watch] = directory
        return missing

    def close(self) -> None:
        """Stop listening."""
        os.write(self._stop_writing, b"x")
        self._thread.join()
        for descriptor in (self._descriptor, self._stop_reading, self._stop_writing):
            os.close(descriptor)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._descriptor, self._stop_reading], [], [])
            if self._stop_reading in ready:
                return
            if self._concerns_us(os.read(self._descriptor, 65536)):
                self._changed()

    def _concerns_us(self, events: bytes) -> bool:
        at, found = 0, False
        while at < len(events):
            watch, mask, _, length = _HEADER.unpack_from(events, at)
            name = events[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
            at += _HEADER.size + length
            if mask & _IGNORED:
                self._watched.pop(watch, None)
            directory = self._watched.get(watch)
            found |= bool(mask & _Q_OVERFLOW) or (directory is not None and name in self._wanted[directory])
        return found
