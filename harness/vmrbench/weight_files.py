"""Weights of a backbone as a safetensors file that says where they come from; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vmrbench.errors import DataError

KEY = "vmrbench_weights"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What weights belong to and where they come from; no date, so that equal weights are equal files.

    backbone, options: what to build; preset: that the options started from; video, text: widths of clips and query
    tokens, None where the backbone takes any; source, source_sha256: the file they were read from; part: the key in it.
    """

    backbone: str
    options: Mapping[str, Any]
    preset: str | None
    video: int | None
    text: int | None
    source: str
    source_sha256: str
    part: str | None


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A weight file, and what it says of itself."""

    path: Path
    provenance: Provenance

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return sha256_of(self.path)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape of every tensor; reads no tensor."""
        with safe_open(self.path, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118  # no mapping


def write_weight_file(path: Path, tensors: Mapping[str, Tensor], provenance: Provenance) -> None:
    """Write tensors and provenance, aside first, so that no half-written file is left."""
    stored = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    told = json.dumps({"format": FORMAT, **asdict(provenance)}, sort_keys=True, ensure_ascii=False)
    aside = path.with_name(f".{path.name}.partial")
    try:
        save_file(stored, aside, metadata={KEY: told})
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written: {error}") from error


def read_weight_file(path: Path) -> WeightFile:
    """A weight file; reads no tensor.

    Raises:
        DataError: no such file, not safetensors, or not one that `vmrbench weights import` wrote.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as opened:
            told = (opened.metadata() or {}).get(KEY)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read as safetensors: {error}") from error
    if told is None:
        raise DataError(f"{path}: does not say what it belongs to; make it with 'vmrbench weights import'")
    found: dict[str, Any] = json.loads(told)
    if found.pop("format") != FORMAT:
        raise DataError(f"{path}: was written in a format that this version does not read; import it again")
    return WeightFile(path=path, provenance=Provenance(**found))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
