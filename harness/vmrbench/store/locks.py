"""One writer a folder: a lock file that names the host and the process that holds it."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock. started: when the process began, in seconds since 1970, because pids are used again."""

    host: str
    pid: int
    started: float

    @classmethod
    def this_process(cls) -> Holder:
        """The running process."""
        return cls(host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time())

    def is_gone(self) -> bool:
        """True where the process is known to have ended; of another host nothing is known."""
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > 1.0
        except psutil.NoSuchProcess:
            return True


class Busy(Exception):  # noqa: N818  # a state that callers handle, not a mistake
    """Another live process holds the lock."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(
            f"{path}: held by process {holder.pid} on {holder.host}; wait for it, or delete the file if it is gone"
        )
        self.holder = holder


@contextmanager
def lock(path: Path, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` for the time of the block. A lock of a dead process on this host is taken over.

    Raises:
        Busy: another process still holds it after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + wait_seconds
    told = False
    while not _take(path):
        holder = _holder(path)
        if holder is None:
            continue
        if holder.is_gone():
            _remove_stale(path, holder)
            continue
        if time.monotonic() >= until:
            raise Busy(path, holder)
        if not told:
            LOG.info("waiting for process %d on %s, which holds %s", holder.pid, holder.host, path.name)
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path) -> bool:
    """Make the lock file, with its content, in one step; False where it exists."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(asdict(Holder.this_process())), encoding="utf-8")
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def _holder(path: Path) -> Holder | None:
    """Who holds the lock, None where it has just been let go."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _remove_stale(path: Path, holder: Holder) -> None:
    """Remove the lock of a dead process; of two that try, one rename succeeds."""
    aside = path.with_name(f"{path.name}.stale-{os.getpid()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _holder(aside) != holder:
        # Someone took the lock over between our look and our rename: give it back.
        os.link(aside, path)
    else:
        LOG.warning("took over %s from process %d, which is gone", path.name, holder.pid)
    aside.unlink()
