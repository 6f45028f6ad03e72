"""Where a value of the configuration was written, so that every error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A line of a file, or a command-line option.

    source: what is printed; line: None outside files; folder: what relative paths written there are relative to.
    """

    source: str
    folder: Path
    line: int | None = None

    def __str__(self) -> str:
        """`benchmarks.yaml:12`, or `--set train.batch_size=8`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Document:
    """Plain data (dict, list, text, numbers, booleans, None) with the place of every key and list item."""

    data: dict[str, Any]
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    whole: Place

    def place(self, path: KeyPath) -> Place:
        """Where `path` was written; for a value nobody wrote, its nearest written parent."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.whole

    def where(self, path: KeyPath) -> str:
        """Prefix of an error about `path`: `benchmarks.yaml:12: backbones[1].options`."""
        return f"{self.place(path)}: {key_text(path)}" if path else str(self.place(path))


def key_text(path: KeyPath) -> str:
    """A key path as it is printed.

    Example:
        >>> key_text(("backbones", 1, "options", "hidden"))
        'backbones[1].options.hidden'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
