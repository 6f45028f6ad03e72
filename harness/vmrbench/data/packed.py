"""A memory-mapped copy of a source: all rows in one file, in the order of their ids, with offsets beside it.

A folder `<cache>/<key>` that exists is complete: it is written aside and renamed. The key stands for what the files
hold, the ids, and how rows are taken from the files. Rows are not normalised there, so that a copy in fp16 of features
that were stored in fp16 gives the same bits as the files.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from vmrbench.data.features import Rows
from vmrbench.data.file_identity import FileIdentities
from vmrbench.data.per_process import PerProcess
from vmrbench.errors import DataError

Precision = Literal["fp32", "fp16"]

FORMAT = 1
ROWS, INDEX = "rows.npy", "index.json"
_TYPES: dict[Precision, str] = {"fp32": "<f4", "fp16": "<f2"}
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CacheChoice:
    """folder: of all caches; precision: of the copies; fp16 changes features that were not stored in it."""

    folder: Path
    precision: Precision = "fp32"


class Packable(Protocol):
    """What can be packed: a `FeatureStore`, or whatever else makes rows for ids."""

    def described(self) -> dict[str, Any]:
        """What decides which rows are made from the content."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """The ids without rows."""

    def where(self, name: str) -> Path:
        """What to name in a message."""

    def identity(self, names: Iterable[str], files: FileIdentities | None = None) -> str:
        """What changes when the content changes."""

    def read_unscaled(self, name: str) -> Rows:
        """[rows, width], fp32, finite, of one width."""


class PackedRows:
    """The rows of one folder that `pack` wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            names, offsets = index["names"], index["offsets"]
            self._place = {name: (offsets[i], offsets[i + 1]) for i, name in enumerate(names)}
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(f"{folder}: cached features are damaged ({error}); delete the folder") from error
        self._rows = PerProcess(partial(_open_rows, folder))
        self._rows()

    def rows(self, name: str) -> Rows:
        """[rows, width] of an id, fp32; in fp32 a read-only view of the file.

        Raises:
            DataError: there is no such id.
        """
        if name not in self._place:
            raise DataError(f"{self.folder}: no cached features of {name!r}; they were missing when it was written")
        start, stop = self._place[name]
        return np.asarray(self._rows()[start:stop], dtype=np.float32)


def pack(store: Packable, names: Sequence[str], cache: CacheChoice) -> PackedRows:
    """The rows of a store in the cache; written where they are not there yet.

    Args:
        store: where the features come from.
        names: ids to hold, at least one; those without features are left out.
        cache: where copies are, and what they are.

    Raises:
        DataError: as `FeatureStore.read`, no id has features, or a value too large for fp16.
    """
    covered = sorted(set(names) - set(store.missing(names)))
    if not covered:
        raise DataError(f"{store.where(names[0])}: nothing to cache: no features of {names[0]!r} or any other id")
    files = FileIdentities(cache.folder)
    described = [FORMAT, cache.precision, store.described(), store.identity(covered, files), covered]
    files.save()
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache.folder / key
    if not folder.is_dir():
        LOG.info("writing the features of %d ids to %s", len(covered), folder)
        _write_aside(store, covered, folder, cache.precision)
    return PackedRows(folder)


def _open_rows(folder: Path) -> NDArray[Any]:
    try:
        # As a plain array: a slice of a memmap is a memmap, which is slow to make.
        return np.asarray(np.load(folder / ROWS, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: cached features are damaged ({error}); delete the folder") from error


def _write_aside(store: Packable, names: Sequence[str], folder: Path, precision: Precision) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    aside = folder.with_name(f"{folder.name}.partial-{socket.gethostname()}-{os.getpid()}")
    aside.mkdir()
    try:
        with (aside / ROWS).open("wb") as stream:
            offsets = _write_rows(store, names, stream, precision)
        index = {"format": FORMAT, "names": list(names), "offsets": offsets}
        (aside / INDEX).write_text(json.dumps(index), encoding="utf-8")
        if not folder.is_dir():  # Another process may have been faster.
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_rows(store: Packable, names: Sequence[str], stream: BinaryIO, precision: Precision) -> list[int]:
    """Write an npy file row by row; the header is corrected at the end, when the number of rows is known."""
    offsets, width = [0], 0
    _write_header(stream, 0, 0, precision)
    for name in names:
        rows = store.read_unscaled(name)
        with np.errstate(over="ignore"):
            kept = rows.astype(_TYPES[precision])
        if not np.isfinite(kept).all():
            raise DataError(f"{store.where(name)}: features of {name!r} exceed fp16; set cache_precision: fp32")
        stream.write(np.ascontiguousarray(kept).tobytes())
        offsets.append(offsets[-1] + len(rows))
        width = rows.shape[1]
    stream.seek(0)
    _write_header(stream, offsets[-1], width, precision)
    return offsets


def _write_header(stream: BinaryIO, rows: int, width: int, precision: Precision) -> None:
    """Always 128 bytes: numpy aligns headers, and leaves room for the first axis to grow."""
    header = {"descr": _TYPES[precision], "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(stream, header)


def _remove_leftovers(folder: Path) -> None:
    """Remove what dead processes of this host left of the same cache."""
    start = f"{folder.name}.partial-{socket.gethostname()}-"
    for left in folder.parent.glob(f"{start}*"):
        process = left.name.removeprefix(start)
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left, ignore_errors=True)
