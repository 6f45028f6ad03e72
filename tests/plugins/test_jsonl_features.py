"""Features of the data set `jsonl` in a sweep file: layouts, kinds, caches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from vmrbench.catalog import load_catalog
from vmrbench.config import load_config
from vmrbench.errors import ConfigError
from vmrbench.protocols import VmrDataset

SWEEP = """\
datasets:
  - name: jsonl
    options: {test: test.jsonl, OPTIONS}
backbones:
  - {name: 2d_tan, preset: small}
trimmers:
  - name: none
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos in the layout of Lighthouse and in HDF5."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = []
    with h5py.File("all.hdf5", "w") as file:
        for video in ("a", "b"):
            for part, width in (("clip", 4), ("slowfast", 6)):
                (tmp_path / "features" / "tacos" / part).mkdir(parents=True, exist_ok=True)
                rows = rng.standard_normal((10, width)).astype(np.float32)
                np.savez(tmp_path / "features" / "tacos" / part / f"{video}.npz", features=rows)
                if part == "clip":
                    file[f"{video}.avi/c3d"] = rows
            (tmp_path / "features" / "tacos" / "clip_text").mkdir(exist_ok=True)
            np.savez(
                tmp_path / "features" / "tacos" / "clip_text" / f"q{video}.npz",
                last_hidden_state=rng.standard_normal((5, 8)),
            )
            row = {"qid": f"q{video}", "query": "a dog", "vid": video, "duration": 20.0, "relevant_windows": [[2, 4]]}
            lines.append(json.dumps({**row, "fps": 8.0}))
    Path("test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def dataset(options: str) -> VmrDataset:
    Path("benchmarks.yaml").write_text(SWEEP.replace("OPTIONS", options), encoding="utf-8")
    config = load_config(Path("benchmarks.yaml"))
    return config.resolve(load_catalog())[0].dataset.built


def values(data: VmrDataset) -> list[Any]:
    split = data.split("test")
    return [tensor for i in range(len(split)) for tensor in (split[i].clips, split[i].query, split[i].clip_end)]


LIGHTHOUSE = "features: {layout: lighthouse, dataset: tacos, root: features}"


def test_layout_needs_its_name_the_data_set_and_the_root() -> None:
    data = dataset(LIGHTHOUSE)

    assert data.facts.clips.encoder == "clip_b32+slowfast"
    assert data.facts.clips.width == 10
    assert data.facts.text.encoder == "clip_text"
    assert data.split("test")[0].clips.shape == (10, 10)


def test_root_of_a_layout_lies_in_features_root() -> None:
    data = dataset(
        "features_root: features, features: {layout: lighthouse, dataset: tacos, root: ., parts: [slowfast]}"
    )

    assert data.facts.clips.width == 6


def test_root_does_not_decide_the_fingerprint(folder: Path) -> None:
    first = dataset(LIGHTHOUSE).facts.fingerprint
    (folder / "features").rename(folder / "moved")

    assert dataset(LIGHTHOUSE.replace("root: features", "root: moved")).facts.fingerprint == first


def test_change_decides_the_fingerprint() -> None:
    first = dataset(LIGHTHOUSE).facts.fingerprint

    changed = dataset(LIGHTHOUSE.replace("root", "change: {clip: {normalise: none}}, root"))

    assert changed.facts.fingerprint != first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("features: {layout: lighthous, dataset: tacos, root: f}", "did you mean 'lighthouse'"),
        ("features: {layout: lighthouse, dataset: tacos}", "root: not given"),
        ("features: {layout: lighthouse, dataset: taco, root: f}", "did you mean 'tacos'"),
        ("features: {layout: lighthouse, dataset: tacos, root: f, part: [clip]}", "part: unknown option"),
        ("features: [{path: f, encoder: c3d, ids: [lowr]}]", "did you mean 'lower'"),
        ("features: [{path: f, encoder: c3d, clip_seconds: vide}]", "clip_seconds: found 'vide'"),
        ("features: {layout: lighthouse, dataset: tacos, root: f, parts: [text]}", "no source of role 'clips'"),
    ],
)
def test_mistakes_are_told_in_one_line(options: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        dataset(options)

    assert "\n" not in str(caught.value)


def test_one_hdf5_file_with_ids_strides_and_groups() -> None:
    source = "{path: all.hdf5, encoder: c3d, key: c3d, ids: [add_suffix .avi], stride_frames: 16}"

    data = dataset(f"features: [{source}]")

    assert data.facts.clip_seconds == 2.0
    assert data.split("test")[1].clip_end.tolist() == [2.0 * i for i in range(1, 11)]


@pytest.mark.parametrize(
    "features", [LIGHTHOUSE, "features: [{path: all.hdf5, encoder: c3d, key: c3d, ids: [add_suffix .avi]}]"]
)
def test_cache_changes_no_value_and_no_fingerprint(folder: Path, features: str) -> None:
    plain = dataset(features)
    cached = dataset(f"{features}, cache: cache")

    assert all(torch.equal(a, b) for a, b in zip(values(plain), values(cached), strict=True))
    assert cached.facts.fingerprint == plain.facts.fingerprint
    assert len(list((folder / "cache").glob("*/rows.npy"))) > 0


def test_cached_samples_need_the_files_no_more(folder: Path) -> None:
    cached = dataset(f"{LIGHTHOUSE}, cache: cache")
    first = values(cached)
    split = cached.split("test")
    for file in (folder / "features").rglob("*.npz"):
        file.unlink()

    assert torch.equal(split[1].clips, first[3])


def test_half_precision_decides_the_fingerprint() -> None:
    assert (
        dataset(f"{LIGHTHOUSE}, cache: c, cache_precision: fp16").facts.fingerprint
        != dataset(LIGHTHOUSE).facts.fingerprint
    )


def test_half_precision_without_a_cache_is_refused() -> None:
    with pytest.raises(ConfigError, match="cache_precision: fp16 needs a cache"):
        dataset(f"{LIGHTHOUSE}, cache_precision: fp16")


def test_unknown_words_may_be_zero() -> None:
    Path("glove.txt").write_text("dog 1.0 2.0\n", encoding="utf-8")

    data = dataset(
        "words: glove.txt, unknown_words: zero, "
        "features: {layout: lighthouse, dataset: tacos, root: features, parts: [clip]}"
    )

    assert data.split("test")[0].query.tolist() == [[0.0, 0.0], [1.0, 2.0]]
    assert data.facts.notes["words_without_vector"] == 1
