"""TACoS as 2D-TAN and VSLNet publish it: times in frames, with `fps` and `num_frames` by video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.columns import Clock, Entry, read_columns
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.values import WrittenQuery, positive, quotient, required


def read_tacos(path: Path, document: Mapping[str, Any], _: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries in seconds (frame / fps); ids are `<video>_<n>`, videos keep their `.avi`. Raises DataError."""
    return read_columns(path, document, frame_clock)


def frame_clock(entry: Entry, where: str) -> Clock:
    """The clock of a video whose times are frames: frame / fps seconds, num_frames / fps long. Raises DataError."""
    fps = positive(required(entry, "fps", where), f"{where}: fps", "frames a second")
    frames = positive(required(entry, "num_frames", where), f"{where}: num_frames", "frames")
    duration = quotient(frames, fps, f"{where}: num_frames")
    return Clock(duration=positive(duration, f"{where}: duration"), units_per_second=fps, unit="frames")
