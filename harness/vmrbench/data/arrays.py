"""Where arrays lie: a folder of files, or one container keyed by id, behind one interface. Nothing is unpickled."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vmrbench.data.file_identity import FileIdentities
from vmrbench.data.per_process import PerProcess
from vmrbench.errors import ConfigError, DataError

Array = NDArray[Any]

PLACEHOLDERS = ("{video_id}", "{query_id}")
TORCH_SUFFIXES = {".pt", ".pth"}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_LMDB_FILE = "data.mdb"

# What reading a broken file raises.
BROKEN = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
)


class ArrayReader(Protocol):
    """Reads the arrays of one place, by the names they are stored under."""

    def names(self) -> Iterable[str]:
        """Every name there is."""

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""

    def where(self, name: str) -> Path:
        """The file to name in a message about it."""

    def read(self, name: str) -> Array:
        """The array as stored. Raises DataError, or one of `BROKEN`."""

    def identity(self, names: Iterable[str], files: FileIdentities) -> Iterator[bytes]:
        """What changes when the content for these names changes; names that are not there count too."""


def open_reader(path: Path, pattern: str, key: str) -> ArrayReader:
    """The reader for what lies at `path`, recognised by content: a folder, LMDB, npz or HDF5.

    Raises:
        DataError: a file of no known kind. ConfigError: a pattern without an id, or lmdb is not installed.
    """
    if path.is_dir() and not (path / _LMDB_FILE).is_file():
        return Folder(path, pattern, key)
    if path.is_dir() or path.suffix in {".lmdb", ".mdb"}:
        return LmdbEnvironment(path, key)
    with path.open("rb") as stream:
        start = stream.read(8)
    if start == _HDF5:
        return Hdf5File(path, key)
    if start[:4] == _ZIP and path.suffix not in TORCH_SUFFIXES:
        return NpzArchive(path)
    raise DataError(
        f"{path}: neither npz, nor HDF5, nor LMDB; give a folder, or one such file with an array for every id"
    )


class Folder:
    """A file for each name: npy, npz with the array `key`, or a tensor saved by torch, alone or under `key`."""

    def __init__(self, path: Path, pattern: str, key: str) -> None:
        self._path, self._pattern, self._key = path, pattern, key
        if not any(placeholder in pattern for placeholder in PLACEHOLDERS):
            raise ConfigError(f"{path}: pattern: {pattern!r} has no {{video_id}} or {{query_id}}")

    def names(self) -> Iterable[str]:
        """The parts of file names that stand where the pattern has the id."""
        placeholder = next(p for p in PLACEHOLDERS if p in self._pattern)
        before, _, after = self._pattern.partition(placeholder)
        if "/" in before + after:
            raise ConfigError(f"ids: any_case needs all files in one folder, but pattern is {self._pattern!r}")
        files = [file.name for file in self._path.iterdir()]
        return sorted(
            name[len(before) : len(name) - len(after)]
            for name in files
            if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
        )

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return self.where(name).is_file()

    def where(self, name: str) -> Path:
        """The file of a name."""
        file = self._pattern
        for placeholder in PLACEHOLDERS:
            file = file.replace(placeholder, name)
        return self._path / file

    def read(self, name: str) -> Array:
        """The array of a file."""
        file = self.where(name)
        if file.suffix in TORCH_SUFFIXES:
            return _torch_array(file, self._key)
        with file.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else _member(loaded, self._key, file)

    def identity(self, names: Iterable[str], files: FileIdentities) -> Iterator[bytes]:
        """Name and checksums of every file."""
        for name in names:
            file = self.where(name)
            yield file.name.encode()
            # Annotations that a limit leaves out need no features.
            yield files.of(file) if file.is_file() else b"none"


class NpzArchive:
    """One npz with an array for each name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = PerProcess(partial(_open_npz, path))
        self._members = frozenset(self._archive().files)

    def names(self) -> Iterable[str]:
        """Names of the arrays."""
        return self._members

    def has(self, name: str) -> bool:
        """Whether the archive has the array."""
        return name in self._members

    def where(self, name: str) -> Path:
        """The archive."""
        return self._path

    def read(self, name: str) -> Array:
        """The array."""
        return np.asarray(self._archive()[name])

    def identity(self, names: Iterable[str], files: FileIdentities) -> Iterator[bytes]:
        """The checksums of the archive, whatever the names."""
        yield from (self._path.name.encode(), files.of(self._path))


class Hdf5File:
    """One HDF5 file: `file[name]` is the array, or a group that holds it under `key`."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._file = PerProcess(partial(_open_hdf5, path))
        self._file()

    def names(self) -> Iterable[str]:
        """Names at the top of the file."""
        return list(self._file())

    def has(self, name: str) -> bool:
        """Whether the file has the array or group."""
        return name in self._file()

    def where(self, name: str) -> Path:
        """The file."""
        return self._path

    def read(self, name: str) -> Array:
        """The array."""
        found = self._file()[name]
        if hasattr(found, "keys"):
            return np.asarray(_member(found, self._key, f"{self._path}[{name!r}]")[()])
        return np.asarray(found[()])

    def identity(self, names: Iterable[str], files: FileIdentities) -> Iterator[bytes]:
        """The checksum of the file, whatever the names."""
        yield from (self._path.name.encode(), files.of(self._path))


class LmdbEnvironment:
    """One LMDB environment, a folder or a file. Values are npy bytes, or npz bytes with the array `key`, as CONE's."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        _lmdb_environment(path.resolve(), os.getpid())

    def names(self) -> Iterable[str]:
        """Every key."""
        with self._transaction() as transaction:
            return [bytes(key).decode() for key in transaction.cursor().iternext(values=False)]

    def has(self, name: str) -> bool:
        """Whether there is such a key; its value is not read."""
        with self._transaction() as transaction:
            return _is_key(name) and bool(transaction.cursor().set_key(name.encode()))

    def where(self, name: str) -> Path:
        """The environment."""
        return self._path

    def read(self, name: str) -> Array:
        """The array."""
        value = self._value(name) or b""
        if not value.startswith((_NPY, _ZIP)):
            raise DataError(
                f"{self._path}: the value of {name!r} begins with {value[:8]!r}, npy or npz bytes expected; "
                "convert it: other encodings (msgpack, raw numbers) do not say their shape, or run code"
            )
        loaded = np.load(io.BytesIO(value), allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else _member(loaded, self._key, f"{self._path}[{name!r}]")

    def identity(self, names: Iterable[str], files: FileIdentities) -> Iterator[bytes]:
        """Every name and the checksum of its value: the file itself depends on the order of writing."""
        for name in names:
            value = self._value(name)
            yield name.encode()
            yield b"none" if value is None else files.digest(value)

    def _value(self, name: str) -> bytes | None:
        with self._transaction() as transaction:
            found: bytes | None = transaction.get(name.encode()) if _is_key(name) else None
            return found

    def _transaction(self) -> Any:
        return _lmdb_environment(self._path.resolve(), os.getpid()).begin()


def _is_key(name: str) -> bool:
    """Whether LMDB takes the name for a key; it raises an error of its own for others."""
    return 0 < len(name.encode()) <= 511


def _member(arrays: Any, key: str, where: Path | str) -> Any:
    if key not in arrays:
        raise DataError(f"{where}: no array {key!r}; found {', '.join(sorted(arrays)) or 'none'}; set key")
    return arrays[key]


def _torch_array(file: Path, key: str) -> Array:
    try:
        # Storages stay where they are read to, whatever device they were saved from.
        loaded = torch.load(file, map_location=lambda storage, _: storage, weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{file}: holds objects that are never unpickled; save the tensor alone by torch.save"
        ) from error
    found = _member(loaded, key, file) if isinstance(loaded, dict) else loaded
    if isinstance(found, np.ndarray):
        return found
    if not isinstance(found, torch.Tensor):
        raise DataError(f"{file}: a {type(found).__name__} found, a tensor or a mapping with {key!r} expected")
    return np.asarray(found.detach().to(torch.float32).numpy())


def _open_npz(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path):  # numpy leaves a broken file open.
            return np.load(path, allow_pickle=False)
    except BROKEN as error:
        raise DataError(f"{path}: not an npz archive: {error}; give a folder or an npz keyed by id") from error


def _open_hdf5(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: HDF5 that cannot be opened: {' '.join(str(error).split())}") from error


@cache  # LMDB allows one handle an environment and process.
def _lmdb_environment(path: Path, process: int) -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ConfigError(f"{path}: reading LMDB needs the package lmdb; pip install 'vmrbench[lmdb]'") from error
    try:
        return lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise DataError(f"{path}: LMDB that cannot be opened: {error}") from error
