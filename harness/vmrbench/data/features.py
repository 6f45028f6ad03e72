"""Reads the features of one source; every array is checked when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vmrbench.data.arrays import BROKEN, Array, open_reader
from vmrbench.data.file_identity import FileIdentities
from vmrbench.data.ids import StoredNames, check_steps
from vmrbench.errors import DataError

if TYPE_CHECKING:
    from vmrbench.data.packed import PackedRows

Rows = NDArray[np.float32]
# Options that came later: runs that were stored without them stay what they are.
_LATER = {"identity": "if changed"}


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """Where one group of features lies.

    path: a folder of npz, npy or pt files, or one npz, HDF5 file or LMDB environment keyed by id; encoder: name of the
    encoder that made them; role: what they are for (`finer`: those of `clips` at a finer stride, for windows); pattern:
    file name in the folder, with `{video_id}` or, for text, `{query_id}`; key: array in each npz, pt, HDF5 group or
    LMDB value; ids: steps from an id to its stored name, see `vmrbench.data.ids`; clip_seconds: length of a row in
    seconds, or `video` where the rows share the video's duration evenly (not read for text); stride_frames: in its
    place, frames from row to row, at `fps` frames a second or that of the annotation; window_frames: frames a row was
    made from, the stride where None; pick: index on every axis between rows and width; take_every: one of so many rows
    is used; normalise: `l2` gives every row length 1; group: name of the index group, such as Background (index only);
    passes_per_clip: encoder passes a row costs.
    """

    path: Path = field(metadata={"inside": "features_root"})
    encoder: str
    role: Literal["clips", "index", "text", "finer"] = "clips"
    pattern: str = "{video_id}.npz"
    key: str = "features"
    ids: tuple[str, ...] = field(default=(), metadata=_LATER)
    clip_seconds: float | Literal["video"] = 2.0
    stride_frames: float | None = field(default=None, metadata=_LATER)
    window_frames: float | None = field(default=None, metadata=_LATER)
    fps: float | Literal["annotation"] = field(default="annotation", metadata=_LATER)
    pick: tuple[int, ...] = field(default=(), metadata=_LATER)
    take_every: int = field(default=1, metadata=_LATER)
    normalise: Literal["none", "l2"] = "none"
    group: str | None = None
    passes_per_clip: float = 1.0

    # Read by pydantic: a misspelt key in a list of sources is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        check_steps(self.ids)
        for name in ("clip_seconds", "stride_frames", "window_frames", "fps", "take_every"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, str) or value > 0):
                raise ValueError(f"{name}: {value} found, a number above 0 expected")
        if self.stride_frames is None and (self.window_frames is not None or self.fps != "annotation"):
            raise ValueError("fps and window_frames are read with stride_frames only; set it, or leave them out")
        if self.stride_frames is not None and self.clip_seconds != 2.0:
            raise ValueError("clip_seconds and stride_frames are both given; leave one out")

    @property
    def reads_frame_rate(self) -> bool:
        """Whether the annotations must tell frames a second."""
        return self.stride_frames is not None and self.fps == "annotation"


class FeatureStore:
    """The features of one source. The width is that of the first array read; all others must agree."""

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._width: tuple[int, str] | None = None
        self._packed: PackedRows | None = None
        if not source.path.exists():
            raise DataError(f"features of role {source.role!r}: {source.path} does not exist; check the path")
        self._reader = open_reader(source.path, source.pattern, source.key)
        self._stored = StoredNames(source.ids, self._reader.names)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The ids without features, each once, in the order given."""
        return [name for name in dict.fromkeys(names) if not self._reader.has(self._stored(name))]

    def check_coverage(self, names: Iterable[str]) -> None:
        """Raise DataError where an id has no features: the first, where they should be, and how many there are."""
        wanted = list(dict.fromkeys(names))
        missing = self.missing(wanted)
        if missing:
            raise DataError(
                f"{self.where(missing[0])}: no {self.source.role} features of {missing[0]!r}{self._as(missing[0])}; "
                f"{len(missing)} of {len(wanted)} are missing; extract them, or correct path, pattern and ids"
            )

    def read(self, name: str) -> Rows:
        """[rows, width] of an id, fp32, normalised as the source says; from the cache where there is one.

        Raises:
            DataError: nothing there, not [rows, width] after `pick`, no row, another width than before, not finite.
        """
        rows = self.read_unscaled(name) if self._packed is None else self._packed.rows(name)
        return unit_rows(rows) if self.source.normalise == "l2" else rows

    def read_unscaled(self, name: str) -> Rows:
        """As `read`, from the files and not normalised."""
        rows = self.read_unchecked(name)
        self._check_width(rows, name)
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(bad):
            raise DataError(
                f"{self.where(name)}: features of {name!r}: NaN or infinite in row {bad[0]} ({len(bad)} of {len(rows)} "
                f"rows); extract them again"
            )
        return rows

    def read_unchecked(self, name: str) -> Rows:
        """As `read_unscaled`, whatever the width and values. Raises DataError: nothing there, or not [rows, width]."""
        self.check_coverage([name])
        stored = self._stored(name)
        try:
            array = self._rows(self._reader.read(stored), name)
            if np.iscomplexobj(array):
                raise DataError(f"{self.where(name)}: features of {name!r} are {array.dtype}; expected real numbers")
            return np.asarray(array, dtype=np.float32)
        except (*BROKEN, TypeError) as error:  # The last: what is no number.
            raise DataError(
                f"{self.where(name)}: features of {name!r} cannot be read: {' '.join(str(error).split())}"
            ) from error

    def described(self) -> dict[str, Any]:
        """What decides which rows are read from the files, normalising apart."""
        source = self.source
        named = {"key": source.key, "ids": source.ids, "role": source.role}
        return {**named, "pick": source.pick, "take_every": source.take_every}

    def use(self, packed: PackedRows | None) -> None:
        """Read from a cache, see `vmrbench.data.packed`, from now on; from the files where None."""
        self._packed = packed

    def where(self, name: str) -> Path:
        """The file that holds an id, or should."""
        return self._reader.where(self._stored(name))

    def identity(self, names: Iterable[str], files: FileIdentities | None = None) -> str:
        """SHA-256 of what the files of these ids hold, without decoding them."""
        digest = hashlib.sha256()
        for part in self._reader.identity(
            (self._stored(name) for name in sorted(set(names))), files or FileIdentities()
        ):
            digest.update(part)
        return digest.hexdigest()

    def _rows(self, array: Array, name: str) -> Array:
        """[rows, width] of a stored array."""
        source = self.source
        if source.role == "text" and array.ndim == 1:
            array = array[None]  # A vector for the whole sentence is one token.
        shape = array.shape
        if array.ndim == 2 + len(source.pick):
            try:
                inside: Any = (slice(None, None, source.take_every), *source.pick)
                array = array[inside]
            except IndexError as error:
                raise DataError(
                    f"{self.where(name)}: features of {name!r} have shape {shape}; {error}: pick"
                ) from error
        if array.ndim != 2 or not len(array):
            inner = "".join(f", {place}" for place in source.pick)
            expected = f"[rows{', …' * len(source.pick)}, width]" + (f" to pick [:{inner}] of" if inner else "")
            raise DataError(f"{self.where(name)}: features of {name!r} have shape {shape}, {expected} expected")
        return array

    def _as(self, name: str) -> str:
        stored = self._stored(name)
        return "" if stored == name else f", stored as {stored!r}"

    def _check_width(self, rows: Rows, name: str) -> None:
        if self._width is None:
            self._width = (rows.shape[1], name)
        width, first = self._width
        if rows.shape[1] != width:
            raise DataError(
                f"{self.where(name)}: features of {name!r} are {rows.shape[1]} wide, {width} expected as for {first!r}"
            )


def unit_rows(rows: Rows) -> Rows:
    """[rows, width] with every row divided by its length, or by 1e-5 where it is shorter than that."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-5), dtype=np.float32)
