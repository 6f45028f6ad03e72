"""Open files in programs of several processes."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Opened = TypeVar("Opened")


class PerProcess(Generic[Opened]):
    """Something opened once in each process: handles neither survive a fork nor travel in a pickle.

    What has a `close` is closed when nothing uses this any more.
    """

    def __init__(self, opening: Callable[[], Opened]) -> None:
        self._opening = opening
        self._opened: tuple[int, Opened] | None = None

    def __call__(self) -> Opened:
        """The handle of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._opening())
            close = getattr(self._opened[1], "close", None)
            if close is not None:
                # By hand: a handle in a cycle of references would be collected open, with a warning.
                weakref.finalize(self, close).atexit = False
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"_opening": self._opening, "_opened": None}
