"""The store: one folder a stage and key, written aside and renamed, so that a folder that exists is complete."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vmrbench.errors import UserError
from vmrbench.store.files import write_text
from vmrbench.store.locks import lock
from vmrbench.store.wall_time import wall_time

Stage = Literal["base", "train", "predict", "cost", "cells"]
Overwrite = Literal["only-missing", "always", "never"]

STAGES: tuple[Stage, ...] = ("base", "train", "predict", "cost", "cells")
OVERWRITE: tuple[Overwrite, ...] = ("only-missing", "always", "never")
Usable = Callable[[Path], bool]

KEY_LENGTH = 16
_DAY = 86400.0


def _any(folder: Path) -> bool:
    return True


class NotStored(UserError):  # noqa: N818  # says what is the matter
    """Something is not in the store, and `overwrite` is `never`."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """Folders `root/<stage>/<first 16 digits of the key>`. Picklable, so that worker processes share its policy.

    overwrite: `only-missing` makes what is not there, `always` makes everything once more, `never` makes nothing;
    since: with `always`, folders finished before this moment (seconds since 1970) do not count as there.
    """

    root: Path
    overwrite: Overwrite = "only-missing"
    since: float = 0.0

    def path(self, stage: Stage, key: str) -> Path:
        """Where a folder is or would be."""
        return self.root / stage / key[:KEY_LENGTH]

    def has(self, stage: Stage, key: str, usable: Usable = _any) -> bool:
        """Whether the folder is there, complete, not to be made again, and `usable`."""
        folder = self.path(stage, key)
        old = self.overwrite == "always" and folder.is_dir() and folder.stat().st_mtime < self.since
        return folder.is_dir() and not old and usable(folder)

    def keys(self, stage: Stage) -> list[str]:
        """The short keys of all complete folders of a stage, sorted."""
        folder = self.root / stage
        return sorted(item.name for item in folder.iterdir() if _is_key(item)) if folder.is_dir() else []

    @contextmanager
    def write(self, stage: Stage, key: str, *, wait_seconds: float = 0.0, resume: bool = False) -> Iterator[Path]:
        """A folder to fill; it becomes `path(stage, key)` when the block ends without an error.

        Args:
            stage: which part of a run.
            key: its full key.
            wait_seconds: how long to wait for another process that writes the same folder.
            resume: start from what a killed writer left, and leave it after an error; otherwise both are deleted.

        Raises:
            Busy: another process writes it.
        """
        final = self.path(stage, key)
        with lock(final.with_name(f"{final.name}.lock"), wait_seconds):
            aside = final.with_name(f"{final.name}.partial-{os.getpid()}")
            _prepare(aside, final, resume)
            try:
                yield aside
                _put(aside, final)
            finally:
                if not resume:
                    shutil.rmtree(aside, ignore_errors=True)

    def ensure(
        self, stage: Stage, key: str, make: Callable[[Path], None], *, resume: bool = False, usable: Usable = _any
    ) -> Path:
        """The folder; made by `make(folder to fill)` where it is missing. Waits for another process that makes it.

        How long that took is kept in the folder: `vmrbench.store.wall_time`.

        usable: whether a folder is what it should be; one that an earlier version of vmrbench wrote may lack a file.

        Raises:
            NotStored: it is missing and `overwrite` is `never`.
        """
        final = self.path(stage, key)
        while not self.has(stage, key, usable):
            if self.overwrite == "never":
                raise NotStored(f"{final}: is not stored and --overwrite is 'never'; run with --overwrite only-missing")
            with self.write(stage, key, wait_seconds=_DAY, resume=resume) as aside:
                if self.has(stage, key, usable):
                    shutil.rmtree(aside)
                else:
                    with wall_time(aside):
                        make(aside)
        return final

    def record_failure(self, key: str, error: BaseException | str) -> Path:
        """Keep the traceback of a failed cell in `root/failed/<key>/traceback.txt`; the next run tries it again."""
        text = error if isinstance(error, str) else "".join(traceback.format_exception(error))
        path = self._failure_path(key)
        write_text(path, text)
        return path

    def failure(self, key: str) -> str | None:
        """The traceback of the last failure, None where there was none."""
        path = self._failure_path(key)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def clear_failure(self, key: str) -> None:
        """Forget a failure, because the cell has run."""
        shutil.rmtree(self._failure_path(key).parent, ignore_errors=True)

    def _failure_path(self, key: str) -> Path:
        return self.root / "failed" / key[:KEY_LENGTH] / "traceback.txt"


def open_store(root: Path, overwrite: Overwrite = "only-missing") -> Store:
    """The store of a sweep that starts now."""
    return Store(root=root, overwrite=overwrite, since=time.time())


def _prepare(aside: Path, final: Path, resume: bool) -> None:
    """Make the folder to fill. We hold the lock, so every other one of this key was left by a dead process."""
    left = sorted(final.parent.glob(f"{final.name}.partial-*"), key=lambda item: item.stat().st_mtime)
    if resume and left:
        left.pop().rename(aside)
    for folder in (*left, *final.parent.glob(f"{final.name}.old-*")):
        shutil.rmtree(folder)
    aside.mkdir(parents=True, exist_ok=True)


def _put(aside: Path, final: Path) -> None:
    """Move the filled folder into place, over an old one."""
    if not aside.exists():
        return
    os.utime(aside)
    old = final.with_name(f"{final.name}.old-{os.getpid()}")
    if final.exists():
        final.rename(old)
    aside.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _is_key(folder: Path) -> bool:
    return folder.is_dir() and "." not in folder.name
