"""Reads feature files: one file a video or query, or one npz keyed by id; every array is checked when it is read."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vmrbench.errors import ConfigError, DataError

Rows = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """Where one group of features lies.

    path: a folder, or one npz keyed by id; encoder: name of the encoder that made them; role: what they are for
    (`finer`: those of `clips` at a finer stride, for windows);
    pattern: file name in the folder, with `{video_id}` or, for text, `{query_id}`; key: array in each npz;
    clip_seconds: length of a row in seconds (not read for text); normalise: `l2` gives every row length 1;
    group: name of the index group, such as Background (index only); passes_per_clip: encoder passes a row costs.
    """

    path: Path = field(metadata={"inside": "features_root"})
    encoder: str
    role: Literal["clips", "index", "text", "finer"] = "clips"
    pattern: str = "{video_id}.npz"
    key: str = "features"
    clip_seconds: float = 2.0
    normalise: Literal["none", "l2"] = "none"
    group: str | None = None
    passes_per_clip: float = 1.0

    # Read by pydantic: a misspelt key in a list of sources is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


class FeatureStore:
    """The features of one source. The width is that of the first array read; all others must agree."""

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._width: tuple[int, str] | None = None
        if not source.path.exists():
            raise DataError(f"features of role {source.role!r}: {source.path} does not exist; check the path")
        self._single = source.path.is_file()
        self._members = _array_names(source.path) if self._single else frozenset()
        if not self._single and "{video_id}" not in source.pattern and "{query_id}" not in source.pattern:
            raise ConfigError(
                f"features of role {source.role!r}: pattern: {source.pattern!r} has no {{video_id}} or {{query_id}}"
            )

    def check_coverage(self, names: Iterable[str]) -> None:
        """Raise DataError where an id has no features: the first, where they should be, and how many there are."""
        wanted = list(dict.fromkeys(names))
        missing = [name for name in wanted if not self._has(name)]
        if missing:
            raise DataError(
                f"{self._where(missing[0])}: no {self.source.role} features of {missing[0]!r}; {len(missing)} of "
                f"{len(wanted)} are missing; extract them, or correct path and pattern"
            )

    def read(self, name: str) -> Rows:
        """[rows, width] of an id, fp32, normalised as the source says.

        Raises:
            DataError: nothing there, not two-dimensional, no row, another width than before, or NaN or infinite.
        """
        rows = self._load(name)
        where = self._where(name)
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"{where}: features of {name!r} have shape {rows.shape}, [rows, width] expected")
        self._check_width(rows, name)
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(bad):
            raise DataError(
                f"{where}: features of {name!r}: NaN or infinite in row {bad[0]} ({len(bad)} of {len(rows)} rows); "
                f"extract them again"
            )
        if self.source.normalise == "l2":
            return _unit_rows(rows)
        return rows

    def identity(self, names: Iterable[str]) -> str:
        """SHA-256 of what the files of these ids hold, without decoding them."""
        files = [self.source.path] if self._single else [self._file(name) for name in sorted(set(names))]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode())
            # Annotations that a limit leaves out need no features.
            digest.update(_file_identity(file) if file.is_file() else b"none")
        return digest.hexdigest()

    def _file(self, name: str) -> Path:
        return self.source.path / self.source.pattern.format(video_id=name, query_id=name)

    def _has(self, name: str) -> bool:
        return name in self._members if self._single else self._file(name).is_file()

    def _where(self, name: str) -> Path:
        return self.source.path if self._single else self._file(name)

    def _load(self, name: str) -> Rows:
        self.check_coverage([name])
        file = self._where(name)
        try:
            with file.open("rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                array = loaded if isinstance(loaded, np.ndarray) else loaded[name if self._single else self.source.key]
                return np.asarray(array, dtype=np.float32)
        except KeyError as error:
            raise DataError(
                f"{file}: no array {self.source.key!r}; found {', '.join(sorted(_array_names(file)))}; set key"
            ) from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{file}: features of {name!r} cannot be read: {' '.join(str(error).split())}") from error

    def _check_width(self, rows: Rows, name: str) -> None:
        if self._width is None:
            self._width = (rows.shape[1], name)
        width, first = self._width
        if rows.shape[1] != width:
            raise DataError(
                f"{self._where(name)}: features of {name!r} are {rows.shape[1]} wide, {width} expected as for {first!r}"
            )


def _array_names(path: Path) -> frozenset[str]:
    """Names of the arrays in an npz, from its directory alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not an npz archive: {error}; give a folder or an npz keyed by id") from error


def _file_identity(path: Path) -> bytes:
    """The checksums in an npz's directory, or the hash of any other file's bytes."""
    if not zipfile.is_zipfile(path):
        return hashlib.sha256(path.read_bytes()).digest()
    with zipfile.ZipFile(path) as archive:
        entries = sorted((item.filename, item.CRC, item.file_size) for item in archive.infolist())
    return hashlib.sha256(repr(entries).encode()).digest()


def _unit_rows(rows: Rows) -> Rows:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-5), dtype=np.float32)
