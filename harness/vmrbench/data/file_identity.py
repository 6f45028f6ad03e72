"""What a file holds, as a checksum; remembered beside a cache, so that large files are read once for it."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path

from vmrbench.errors import DataError


class FileIdentities:
    """Checksums of files.

    With a folder, what was computed is kept there for as long as size and modification time of the file stay.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._kept: dict[Path, dict[str, list[int | str]]] = {}
        self._changed: set[Path] = set()

    def of(self, path: Path) -> bytes:
        """32 bytes. Raises DataError where the file cannot be read."""
        try:
            if self._folder is None:
                return _identity(path)
            status = path.stat()
            known = self._remembered(path.parent)
            found = known.get(path.name)
            if found is None or found[:2] != [status.st_size, status.st_mtime_ns]:
                found = known[path.name] = [status.st_size, status.st_mtime_ns, _identity(path).hex()]
                self._changed.add(path.parent)
            return bytes.fromhex(str(found[2]))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error

    def digest(self, value: bytes) -> bytes:
        """SHA-256 of a value."""
        return hashlib.sha256(value).digest()

    def save(self) -> None:
        """Keep what was computed."""
        for parent in self._changed:
            file = self._file(parent)
            file.parent.mkdir(parents=True, exist_ok=True)
            aside = file.with_name(f"{file.name}.partial-{os.getpid()}")
            aside.write_text(json.dumps(self._kept[parent]), encoding="utf-8")
            aside.replace(file)
        self._changed.clear()

    def _remembered(self, parent: Path) -> dict[str, list[int | str]]:
        if parent not in self._kept:
            file = self._file(parent)
            # Computed anew where what was kept is damaged.
            try:
                self._kept[parent] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            except ValueError:
                self._kept[parent] = {}
        return self._kept[parent]

    def _file(self, parent: Path) -> Path:
        name = hashlib.sha256(str(parent.resolve()).encode()).hexdigest()[:16]
        return (self._folder or Path()) / "identities" / f"{name}.json"


def _identity(path: Path) -> bytes:
    """The checksums in a zip's directory, or the hash of any other file's bytes."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    with zipfile.ZipFile(path) as archive:
        entries = sorted((item.filename, item.CRC, item.file_size) for item in archive.infolist())
    return hashlib.sha256(repr(entries).encode()).digest()
