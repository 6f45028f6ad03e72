from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vmrbench.data.query_words import WordVectors
from vmrbench.data.word_files import read_word_vectors
from vmrbench.data.words import hashed_vector
from vmrbench.errors import DataError
from vmrbench.types import Annotation

GLOVE = "the 1.0 2.0 3.0\n. . . 9 9 9\ncat 0.5 -0.25 1e-1\nthe 7 7 7\n"


def glove(folder: Path, text: str = GLOVE) -> Path:
    path = folder / "glove.6B.3d.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_text_of_glove_is_read(tmp_path: Path) -> None:
    table = read_word_vectors(glove(tmp_path))

    assert table("the cat").tolist() == np.float32([[1.0, 2.0, 3.0], [0.5, -0.25, 0.1]]).tolist()
    assert table.width == 3


def test_header_of_word2vec_is_skipped(tmp_path: Path) -> None:
    table = read_word_vectors(glove(tmp_path, "2 3\n" + GLOVE))

    assert table.unknown(["2 cat"]) == {"2"}
    assert table.width == 3


def test_only_words_of_the_vocabulary_are_kept(tmp_path: Path) -> None:
    assert read_word_vectors(glove(tmp_path), {"cat"}).unknown(["the cat"]) == {"the"}


def test_vectors_that_torchtext_keeps_are_read(tmp_path: Path) -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch.save((["the", "cat"], {"the": 0, "cat": 1}, vectors, 2), tmp_path / "glove.6B.2d.txt.pt")

    table = read_word_vectors(tmp_path / "glove.6B.2d.txt.pt", {"cat"})

    assert table("cat").tolist() == [[3.0, 4.0]]
    assert table.unknown(["the"]) == {"the"}


def test_unknown_word_is_zero_where_that_is_asked_for(tmp_path: Path) -> None:
    table = read_word_vectors(glove(tmp_path), unknown="zero")

    assert table("cat bird")[1].tolist() == [0.0, 0.0, 0.0]
    assert table.unknown(["cat bird"]) == {"bird"}


def test_unknown_word_is_hashed_with_the_spread_of_the_words_that_are_kept(tmp_path: Path) -> None:
    table = read_word_vectors(glove(tmp_path), {"cat", "bird"})

    spread = np.std(np.float32([0.5, -0.25, 0.1]))
    assert np.allclose(table("bird")[0], spread * hashed_vector("word bird", 3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the 1 2 3\ncat 1 2 x\n", ":2: 'cat' is not followed by numbers"),
        ("the 1 2 3\ncat 1 2\n", ":2: 'cat' has 2 numbers, 3 expected"),
        ("\n", "no word vectors"),
    ],
)
def test_text_that_is_no_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_word_vectors(glove(tmp_path, text))


def test_torch_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"a": Path("x")}, tmp_path / "w.pt")

    with pytest.raises(DataError, match="not the vectors that torchtext keeps"):
        read_word_vectors(tmp_path / "w.pt")


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"read from .npz, .txt, .pt"):
        read_word_vectors(tmp_path / "glove.bin")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_word_vectors(tmp_path / "glove.txt")


def test_a_table_in_text_keeps_the_words_of_the_annotations(tmp_path: Path) -> None:
    annotation = Annotation(sample_id="1", video_id="v", sentence="The cat!", duration=2.0, moments=((0.0, 1.0),))

    words = WordVectors(glove(tmp_path), [annotation])

    assert words.read(annotation).shape == (2, 3)
    assert words.notes([annotation]) == {"words_without_vector": 0}


def test_real_glove_tables_know_their_vocabulary(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "features"

    charades = read_word_vectors(folder / "cpl_charades_glove300.npz")
    permissive = read_word_vectors(folder / "glove6b50d_subset_permissive.npz")

    assert (charades.width, permissive.width) == (300, 50)
    assert charades.unknown(["person turn a light on"]) == permissive.unknown(["the man opens the door"]) == set()
