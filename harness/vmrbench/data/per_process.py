"""Open files in programs of several processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Opened = TypeVar("Opened")


class PerProcess(Generic[Opened]):
    """Something opened once in each process: handles neither survive a fork nor travel in a pickle."""

    def __init__(self, opening: Callable[[], Opened]) -> None:
        self._opening = opening
        self._opened: tuple[int, Opened] | None = None

    def __call__(self) -> Opened:
        """The handle of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._opening())
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"_opening": self._opening, "_opened": None}
