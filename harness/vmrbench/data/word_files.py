"""Reads tables of word vectors: npz, the text files of GloVe and word2vec, and what torchtext keeps of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from vmrbench.data.words import UnknownWords, Vectors, WordTable
from vmrbench.errors import DataError

Table = Mapping[str, Vectors]


def read_word_vectors(
    path: Path, vocabulary: Collection[str] | None = None, unknown: UnknownWords = "hashed"
) -> WordTable:
    """Read a table of word vectors.

    npz: `words` (an array, or one newline-joined string) and `vectors` [words, width]. txt: a word and its numbers a
    line, as GloVe publishes it; a first line with two numbers, as word2vec writes it, is skipped. pt: list of words,
    map from words to rows, vectors and their width, as torchtext keeps them; nothing else is unpickled.

    Args:
        path: the file; its suffix tells the kind.
        vocabulary: words to keep of txt and pt, every word where None; the spread of hashed vectors is theirs.
        unknown: what a word gets that the table lacks.

    Raises:
        DataError: the file or an array is not there, or words and vectors differ in number or width.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        raise DataError(f"{path}: word vectors are read from {', '.join(_READERS)}; convert the file")
    table, width = read(path, vocabulary)
    return WordTable(table, width, unknown)


def _read_npz(path: Path, vocabulary: Collection[str] | None) -> tuple[Table, int]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            words, vectors = archive["words"], np.asarray(archive["vectors"], dtype=np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: no npz with 'words' and 'vectors': {_line(error)}") from error
    names = [str(w) for w in words.reshape(-1)]
    if len(names) == 1 and len(vectors) != 1:
        names = names[0].split("\n")
    _check_shape(path, len(names), vectors)
    return dict(zip(names, vectors, strict=True)), vectors.shape[1]


def _read_txt(path: Path, vocabulary: Collection[str] | None) -> tuple[Table, int]:
    table: dict[str, Vectors] = {}
    width = 0
    wanted = None if vocabulary is None else set(vocabulary)
    for number, line in _lines(path):
        word, _, rest = line.partition(" ")
        if not width:
            width = len(rest.split(" "))
            if width == 1:  # The header of word2vec.
                width = int(rest) if rest.isdigit() else 0
                continue
        # A few entries of the largest GloVe are words with a space; no word of a sentence has one.
        if word in table or (wanted is not None and word not in wanted) or line.rsplit(" ", width)[0] != word:
            continue
        try:
            table[word] = np.array(rest.split(" "), dtype=np.float32)
        except ValueError as error:
            raise DataError(f"{path}:{number}: {word!r} is not followed by numbers: {_line(error)}") from error
        if table[word].shape != (width,):
            raise DataError(f"{path}:{number}: {word!r} has {len(table[word])} numbers, {width} expected")
    if not width:
        raise DataError(f"{path}: no word vectors; a word and its numbers a line expected")
    return table, width


def _read_torchtext(path: Path, vocabulary: Collection[str] | None) -> tuple[Table, int]:
    try:
        loaded = torch.load(path, map_location=lambda storage, _: storage, weights_only=True)
        names, vectors = loaded[0], loaded[2].numpy().astype(np.float32)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the vectors that torchtext keeps (words, rows, vectors, width)") from error
    _check_shape(path, len(names), vectors)
    wanted = set(names) if vocabulary is None else set(vocabulary)
    return {name: vectors[row] for row, name in enumerate(names) if name in wanted}, vectors.shape[1]


_READERS: dict[str, Callable[[Path, Collection[str] | None], tuple[Table, int]]] = {
    ".npz": _read_npz,
    ".txt": _read_txt,
    ".pt": _read_torchtext,
}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line.rstrip("\n ")
    except OSError as error:
        raise DataError(f"{path}: word vectors cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error


def _check_shape(path: Path, words: int, vectors: Vectors) -> None:
    if vectors.ndim != 2 or words != len(vectors):
        raise DataError(f"{path}: {words} words and vectors of shape {vectors.shape}; one row a word expected")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
