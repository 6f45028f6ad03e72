"""Query features from a sentence encoder that is installed as a package, weights included; nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmrbench.data.features import Rows
from vmrbench.data.file_identity import FileIdentities
from vmrbench.data.packed import CacheChoice, PackedRows, pack
from vmrbench.errors import ConfigError, DataError
from vmrbench.protocols import FeatureFacts
from vmrbench.types import Annotation

MARK = "modules.json"  # Every model of sentence-transformers has it.
LOG = logging.getLogger(__name__)

Encode = Callable[[Sequence[str]], Sequence[Rows]]


class SentenceVectors:
    """One row a token, special tokens included, from the model that an installed package holds.

    Sentences are encoded one by one: padding to a longer neighbour would change the last digits. With a cache they are
    encoded once for all runs, without one when they are first read.

    Args:
        package: import name of a package with a model of sentence-transformers inside.
        annotations: whose sentences the cache is to hold.
        cache: where to keep what was encoded.

    Raises:
        ConfigError: the package is not installed or holds no model.
    """

    def __init__(self, package: str, annotations: Sequence[Annotation], cache: CacheChoice | None = None) -> None:
        self._package = package
        self._folder = model_folder(package)
        self._sentences = sorted({annotation.sentence for annotation in annotations})
        self._cache = cache
        self._kept: dict[str, Rows] = {}

    @property
    def stamps(self) -> tuple[str, ...]:
        """None."""
        return ()

    @cached_property
    def facts(self) -> FeatureFacts:
        """The encoder has the name of the package."""
        return FeatureFacts(encoder=self._package, width=self._rows(self._sentences[0]).shape[1])

    def read(self, annotation: Annotation) -> Tensor:
        """[T, width] one row a token."""
        return torch.from_numpy(np.array(self._rows(annotation.sentence)))  # What a cache gives is read-only.

    def notes(self, annotations: Sequence[Annotation]) -> dict[str, Any]:
        """Version of the package."""
        return {"sentence_encoder": f"{self._package} {_version(self._package)}"}

    def identity(self) -> list[str]:
        """A checksum of the model's files."""
        files = FileIdentities(None if self._cache is None else self._cache.folder)
        digest = hashlib.sha256()
        for file in sorted(self._folder.rglob("*")):
            if file.is_file():
                digest.update(str(file.relative_to(self._folder)).encode() + files.of(file))
        files.save()
        return [digest.hexdigest()]

    def _rows(self, sentence: str) -> Rows:
        if self._packed is not None:
            return self._packed.rows(sentence)
        if sentence not in self._kept:
            self._kept[sentence] = self._encoded.read_unscaled(sentence)
        return self._kept[sentence]

    @cached_property
    def _encoded(self) -> EncodedSentences:
        return EncodedSentences(self._folder, self.identity()[0])

    @cached_property
    def _packed(self) -> PackedRows | None:
        return None if self._cache is None else pack(self._encoded, self._sentences, self._cache)


class EncodedSentences:
    """Sentences as a source that can be packed; the model is loaded when the first is read."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity

    def described(self) -> dict[str, Any]:
        """What is made of a sentence."""
        return {"rows": "tokens"}

    def missing(self, names: Iterable[str]) -> list[str]:
        """None: every sentence can be encoded."""
        return []

    def where(self, name: str) -> Path:
        """The model."""
        return self._folder

    def identity(self, names: Iterable[str], files: FileIdentities | None = None) -> str:
        """That of the model."""
        return self._identity

    def read_unscaled(self, name: str) -> Rows:
        """[T, width] of a sentence. Raises DataError where a number is not finite."""
        (rows,) = self._encode([name])
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise DataError(f"{self._folder}: {name!r} is encoded to {rows.shape}, [tokens, width] of numbers expected")
        return rows

    @cached_property
    def _encode(self) -> Encode:
        return load_encoder(self._folder)


def model_folder(package: str) -> Path:
    """Where the model of an installed package lies.

    Raises:
        ConfigError: the package is not installed, or holds no model or several.
    """
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        raise ConfigError(f"sentence_encoder: no package {package!r} is installed; pip install it, or name another")
    found = sorted(mark.parent for place in spec.submodule_search_locations or () for mark in Path(place).rglob(MARK))
    if len(found) != 1:
        raise ConfigError(
            f"sentence_encoder: package {package!r} holds {len(found)} models of sentence-transformers, 1 expected"
        )
    return found[0]


def load_encoder(folder: Path) -> Encode:
    """A function from sentences to [T, width] of each, on torch's default device.

    Raises:
        ConfigError: sentence-transformers is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError(f"{folder}: needs sentence-transformers; pip install 'vmrbench[sentences]'") from error
    LOG.info("loading the sentence encoder in %s", folder)
    model = SentenceTransformer(str(folder), device=str(torch.get_default_device()), local_files_only=True)
    return lambda sentences: [
        np.asarray(rows.numpy(force=True), dtype=np.float32)
        for rows in model.encode(list(sentences), output_value="token_embeddings", show_progress_bar=False)
    ]


def _version(package: str) -> str:
    names = importlib.metadata.packages_distributions().get(package, [])
    return importlib.metadata.version(names[0]) if names else "of unknown version"
