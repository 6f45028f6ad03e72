"""Query features that are made from the sentence: word vectors, or a sentence encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from vmrbench.data.word_files import read_word_vectors
from vmrbench.data.words import UnknownWords, WordTable, hashed_words, split_words
from vmrbench.protocols import FeatureFacts
from vmrbench.types import Annotation


class QueryFeatures(Protocol):
    """Makes query features from sentences."""

    @property
    def stamps(self) -> tuple[str, ...]:
        """Lines to print beside every number."""

    @property
    def facts(self) -> FeatureFacts:
        """Encoder and width."""

    def read(self, annotation: Annotation) -> Tensor:
        """[T, width]."""

    def notes(self, annotations: Sequence[Annotation]) -> Mapping[str, Any]:
        """Plain values for the record."""

    def identity(self) -> list[str]:
        """What changes when the features change, the options apart."""


class WordVectors:
    """Query features from a table of word vectors; the vectors are hashed where no table is given.

    Args:
        words: the table, see `vmrbench.data.word_files`.
        annotations: of a table in text only the words of their sentences are kept; every word where there are none.
        unknown: what a word gets that the table lacks.
    """

    def __init__(
        self, words: Path | None, annotations: Sequence[Annotation] = (), unknown: UnknownWords = "hashed"
    ) -> None:
        self._path = words
        vocabulary = {word for annotation in annotations for word in split_words(annotation.sentence)}
        self.table: WordTable = (
            hashed_words() if words is None else read_word_vectors(words, vocabulary or None, unknown)
        )

    @property
    def stamps(self) -> tuple[str, ...]:
        """HASHED WORD VECTORS where no table is given."""
        return ("HASHED WORD VECTORS",) if self._path is None else ()

    @property
    def facts(self) -> FeatureFacts:
        """The encoder `glove` for a table, `hash_words` without one."""
        return FeatureFacts(encoder="hash_words" if self._path is None else "glove", width=self.table.width)

    def read(self, annotation: Annotation) -> Tensor:
        """[T, width] one row a word."""
        return torch.from_numpy(self.table(annotation.sentence))

    def notes(self, annotations: Sequence[Annotation]) -> dict[str, Any]:
        """How many distinct words the table lacks."""
        return {"words_without_vector": len(self.table.unknown(a.sentence for a in annotations))}

    def identity(self) -> list[str]:
        """Nothing: the content of the table is part of the data set's fingerprint."""
        return []


def file_sha256(path: Path) -> bytes:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
