from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vmrbench.data.word_files import read_word_vectors
from vmrbench.data.words import hashed_words, split_words
from vmrbench.errors import DataError


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A man doesn't sit.", ["a", "man", "doesn't", "sit"]),
        ("well-lit  room2", ["well", "lit", "room2"]),
        ("Über allem", ["über", "allem"]),
        ("??", ["??"]),
    ],
)
def test_sentence_is_split_into_lower_case_words(sentence: str, words: list[str]) -> None:
    assert split_words(sentence) == words


def test_hashed_word_is_the_same_in_every_sentence() -> None:
    table = hashed_words()

    assert np.array_equal(table("the cat")[1], table("Cat runs")[0])
    assert table("the cat").shape == (2, 64)


@pytest.mark.parametrize("words", [np.array(["cat", "dog"]), np.array("cat\ndog")])
def test_table_is_read_from_array_or_joined_text(tmp_path: Path, words: np.ndarray) -> None:
    np.savez(tmp_path / "w.npz", words=words, vectors=np.array([[1.0, 2.0], [3.0, 4.0]]))

    table = read_word_vectors(tmp_path / "w.npz")

    assert table("dog cat").tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert table.unknown(["the cat", "the dog"]) == {"the"}


def test_unknown_word_gets_a_vector_that_is_not_zero(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", words=np.array(["cat", "dog"]), vectors=np.array([[1.0, 2.0], [3.0, 4.0]]))

    assert np.abs(read_word_vectors(tmp_path / "w.npz")("bird")).max() > 0


def test_table_whose_parts_differ_in_number_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", words=np.array(["cat", "dog"]), vectors=np.ones((3, 2)))

    with pytest.raises(DataError, match="2 words and vectors of shape"):
        read_word_vectors(tmp_path / "w.npz")


def test_file_without_vectors_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", words=np.array(["cat"]))

    with pytest.raises(DataError, match="no npz with 'words' and 'vectors'"):
        read_word_vectors(tmp_path / "w.npz")
