"""ActivityNet Captions, and files of its shape: seconds, with `duration` by video. ActivityNet-CD has it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.columns import Clock, Entry, read_columns
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.values import WrittenQuery, positive, required


def read_activitynet_captions(path: Path, document: Mapping[str, Any], _: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries; ids are `<video>_<n>`. Sentences keep their leading spaces. Raises DataError."""
    return read_columns(path, document, _clock)


def _clock(entry: Entry, where: str) -> Clock:
    return Clock(duration=positive(required(entry, "duration", where), f"{where}: duration"))
