"""How long a stage took on the clock, over all the sessions that it needed; kept beside what it made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vmrbench.store.files import read_json, write_json

WALL_TIME = "wall_time.json"
NOT_KEPT = "not kept by the version of vmrbench that made it"


@dataclass(frozen=True, kw_only=True)
class WallTime:
    """value: seconds, None with a `reason` where they were not kept; sessions: how often the stage was begun.

    begun: when the session began that is still at work or was killed, in seconds since 1970; None once it is finished.
    """

    value: float | None
    sessions: int = 0
    reason: str | None = None
    begun: float | None = None


@contextmanager
def wall_time(folder: Path) -> Iterator[None]:
    """Keep in `folder` how long the block takes, and how long interrupted ones before it took.

    Of a session that was killed, the time up to the last file that it wrote counts; what came after is done again.
    """
    before, begun = _before(folder), time.time()
    now = replace(before, sessions=before.sessions + 1, begun=begun)
    write_json(folder / WALL_TIME, asdict(now))
    yield
    total = None if before.value is None else before.value + time.time() - begun
    write_json(folder / WALL_TIME, asdict(replace(now, value=total, begun=None)))


def read_wall_time(folder: Path) -> WallTime:
    """The time that the stage in `folder` took so far."""
    path = folder / WALL_TIME
    return WallTime(**read_json(path)) if path.is_file() else WallTime(value=None, reason=NOT_KEPT)


def _before(folder: Path) -> WallTime:
    """What earlier sessions took that left their work in the folder."""
    if not any(folder.iterdir()):
        return WallTime(value=0.0)
    left = read_wall_time(folder)
    if left.value is None or left.begun is None:
        return left
    last = max(item.stat().st_mtime for item in folder.rglob("*"))
    return replace(left, value=left.value + max(0.0, last - left.begun))
