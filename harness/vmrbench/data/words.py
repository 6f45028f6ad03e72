"""Word vectors for query sentences: from a table of vectors, or hashed from the spelling where there is no table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

HASHED_WIDTH = 64
UnknownWords = Literal["hashed", "zero"]
Vectors = NDArray[np.float32]


@lru_cache(maxsize=50_000)
def hashed_vector(key: str, width: int) -> Vectors:
    """[width] Gaussian vector of unit variance that depends on `key` only, the same on every machine; read-only."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(width).astype(np.float32)
    vector.flags.writeable = False  # it is remembered and shared
    return vector


def split_words(sentence: str) -> list[str]:
    """Lower-case words of a sentence; the whole sentence where it holds no letter or digit, so never empty."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", sentence.lower()) or [sentence.lower()]


class WordTable:
    """Vectors of words; a word that the table lacks gets a hashed vector of the table's spread, or zeros."""

    def __init__(self, vectors: Mapping[str, Vectors], width: int, unknown: UnknownWords = "hashed") -> None:
        self._vectors = vectors
        self.width = width
        self._unknown = unknown
        self._spread = float(np.std(list(vectors.values()))) if vectors else 1.0

    def __call__(self, sentence: str) -> Vectors:
        """[T, width] one row a word of the sentence."""
        return np.stack([self._vector(word) for word in split_words(sentence)])

    def unknown(self, sentences: Iterable[str]) -> set[str]:
        """Words of the sentences that the table lacks; every word where the table is empty."""
        return {word for sentence in sentences for word in split_words(sentence) if word not in self._vectors}

    def _vector(self, word: str) -> Vectors:
        if word not in self._vectors and self._unknown == "zero":
            return np.zeros(self.width, dtype=np.float32)
        if word not in self._vectors:
            return np.asarray(self._spread * hashed_vector(f"word {word}", self.width), dtype=np.float32)
        return self._vectors[word]


def hashed_words(width: int = HASHED_WIDTH) -> WordTable:
    """A table that knows no word: every vector is hashed, so no meaning is shared between words."""
    return WordTable({}, width)
