"""Word vectors for simulated sentences: synonyms are near, every word has a part of its own."""

from __future__ import annotations

import numpy as np

from vmrbench.data.words import Vectors, hashed_vector
from vmrbench_plugins._simulator.vocabulary import ACTIONS, OBJECTS, SCENES

TEXT_WIDTH = 64
OWN_PART = 0.45  # of a word's length; two synonyms then have a cosine of about 0.8


def word_table() -> dict[str, Vectors]:
    """Vectors [64] of every content word of the grammar: a direction per concept and a part per word."""
    table: dict[str, Vectors] = {}
    for kind, concepts in (("scene", SCENES), ("object", OBJECTS), ("action", ACTIONS)):
        for number, synonyms in enumerate(concepts):
            shared = hashed_vector(f"concept {kind} {number}", TEXT_WIDTH)
            for word in synonyms:
                own = hashed_vector(f"word {word}", TEXT_WIDTH)
                table[word] = np.sqrt(1.0 - OWN_PART**2) * shared + OWN_PART * own
    return table


def sentence_vectors(sentence: str, table: dict[str, Vectors]) -> Vectors:
    """[T, 64] one row a word; a word outside the table gets a vector of its own, at half length."""
    rows = [_vector(word, table) for word in sentence.split()]
    return np.stack(rows).astype(np.float32)


def _vector(word: str, table: dict[str, Vectors]) -> Vectors:
    return table[word] if word in table else np.float32(0.5) * hashed_vector(f"word {word}", TEXT_WIDTH)
