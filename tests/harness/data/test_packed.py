from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.packed import CacheChoice, PackedRows, pack
from vmrbench.errors import DataError

ROWS = {"a": np.float32([[1.5, -2.0], [0.1, 3e-30]]), "b c": np.float32([[7.0, 8.0]]), "ü": np.float32([[0.0, 1e15]])}


def store(folder: Path, rows: dict[str, Any] | None = None, **changes: Any) -> FeatureStore:
    folder.mkdir(exist_ok=True)
    for name, array in (ROWS if rows is None else rows).items():
        np.savez(folder / f"{name}.npz", features=array)
    return FeatureStore(FeatureSource(path=folder, encoder="c3d", **changes))


def cached(features: FeatureStore, names: list[str], folder: Path, **changes: Any) -> PackedRows:
    packed = pack(features, names, CacheChoice(folder=folder, **changes))
    features.use(packed)
    return packed


@pytest.mark.parametrize("normalise", ["none", "l2"])
def test_cache_gives_the_same_bits_as_the_files(tmp_path: Path, normalise: str) -> None:
    features = store(tmp_path / "f", normalise=normalise)
    from_files = {name: features.read(name) for name in ROWS}

    cached(features, list(ROWS), tmp_path / "cache")
    shutil.rmtree(tmp_path / "f")

    for name, rows in from_files.items():
        found = features.read(name)
        assert found.dtype == np.float32
        assert found.tobytes() == rows.tobytes()


@settings(max_examples=25)
@given(
    st.lists(
        hnp.arrays(np.float16, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-6e4, 6e4, width=16)),
        min_size=1,
        max_size=4,
    )
)
def test_half_precision_of_features_stored_in_it_changes_no_bit(
    tmp_path_factory: pytest.TempPathFactory, arrays: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    features = store(folder / "f", {str(i): array for i, array in enumerate(arrays)}, normalise="l2")
    expected = [features.read(str(i)).tobytes() for i in range(len(arrays))]

    cached(features, [str(i) for i in range(len(arrays))], folder / "cache", precision="fp16")

    assert [features.read(str(i)).tobytes() for i in range(len(arrays))] == expected


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    rows = {"a": np.ones((1000, 8), dtype=np.float32)}
    sizes = {}
    for precision in ("fp32", "fp16"):
        packed = cached(store(tmp_path / "f", rows), ["a"], tmp_path / "cache", precision=precision)
        sizes[precision] = (packed.folder / "rows.npy").stat().st_size

    assert sizes == {"fp32": 128 + 32000, "fp16": 128 + 16000}


def test_value_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 'ü' exceed fp16; set cache_precision: fp32"):
        cached(store(tmp_path / "f"), list(ROWS), tmp_path / "cache", precision="fp16")

    assert [item.name for item in (tmp_path / "cache").iterdir()] == ["identities"]


def test_features_that_are_not_right_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    features = store(tmp_path / "f", {"a": [[1.0]], "b": [[np.nan]]})

    with pytest.raises(DataError, match="of 'b': NaN or infinite in row 0"):
        cached(features, ["a", "b"], tmp_path / "cache")

    assert [item.name for item in (tmp_path / "cache").iterdir()] == ["identities"]


def test_cache_is_written_once(tmp_path: Path) -> None:
    first = cached(store(tmp_path / "f"), list(ROWS), tmp_path / "cache")
    written = (first.folder / "rows.npy").stat().st_mtime_ns

    second = cached(store(tmp_path / "f"), list(ROWS), tmp_path / "cache")

    assert second.folder == first.folder
    assert (second.folder / "rows.npy").stat().st_mtime_ns == written


@pytest.mark.parametrize("how", [{"take_every": 2}, {"precision": "fp16"}, {"content": 9.0}, {"names": ["a"]}])
def test_what_decides_the_rows_decides_the_folder(tmp_path: Path, how: dict[str, Any]) -> None:
    rows = {"a": np.ones((4, 2)), "b": np.ones((4, 2))}
    first = cached(store(tmp_path / "f", rows), ["a", "b"], tmp_path / "cache")
    changed = {"a": np.full((4, 2), how.pop("content", 1.0)), "b": np.ones((4, 2))}
    names, precision = how.pop("names", ["a", "b"]), how.pop("precision", "fp32")

    second = cached(store(tmp_path / "f", changed, **how), names, tmp_path / "cache", precision=precision)

    assert second.folder != first.folder


def test_normalising_and_the_place_of_the_files_do_not_decide_the_folder(tmp_path: Path) -> None:
    first = cached(store(tmp_path / "f"), list(ROWS), tmp_path / "cache")

    second = cached(store(tmp_path / "elsewhere", normalise="l2"), list(ROWS), tmp_path / "cache")

    assert second.folder == first.folder


def test_ids_without_features_are_left_out_and_named_when_asked_for(tmp_path: Path) -> None:
    features = store(tmp_path / "f")
    cached(features, ["a", "absent"], tmp_path / "cache")

    assert features.read("a").tobytes() == ROWS["a"].tobytes()
    with pytest.raises(DataError, match="no cached features of 'absent'; they were missing"):
        features.read("absent")


def test_nothing_to_cache_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to cache: no features of 'absent'"):
        cached(store(tmp_path / "f"), ["absent"], tmp_path / "cache")


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    folder = cached(store(tmp_path / "f"), ["a"], tmp_path / "cache").folder
    shutil.rmtree(folder)
    left = folder.with_name(f"{folder.name}.partial-{os.uname().nodename}-99999999")
    left.mkdir()

    cached(store(tmp_path / "f"), ["a"], tmp_path / "cache")

    assert not left.exists()
    assert folder.is_dir()


@pytest.mark.parametrize("file", ["rows.npy", "index.json"])
def test_damaged_cache_is_named(tmp_path: Path, file: str) -> None:
    packed = cached(store(tmp_path / "f"), ["a"], tmp_path / "cache")
    (packed.folder / file).write_bytes(b"x")

    with pytest.raises(DataError, match=r"damaged .*; delete the folder"):
        cached(store(tmp_path / "f"), ["a"], tmp_path / "cache")


def test_packed_rows_open_anew_in_a_copy(tmp_path: Path) -> None:
    packed = cached(store(tmp_path / "f"), ["a"], tmp_path / "cache")

    assert pickle.loads(pickle.dumps(packed)).rows("a").tobytes() == ROWS["a"].tobytes()


def test_checksums_are_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vmrbench.data import file_identity

    np.save(tmp_path / "a.npy", ROWS["a"])
    computed: list[Path] = []
    compute = file_identity._identity
    monkeypatch.setattr(file_identity, "_identity", lambda path: (computed.append(path), compute(path))[1])

    def identity() -> bytes:
        files = file_identity.FileIdentities(tmp_path / "cache")
        found = files.of(tmp_path / "a.npy")
        files.save()
        return found

    first, second = identity(), identity()
    np.save(tmp_path / "a.npy", np.zeros((9, 9)))
    third = identity()

    assert first == second != third
    assert len(computed) == 2


def test_damaged_memory_of_checksums_is_computed_anew(tmp_path: Path) -> None:
    first = cached(store(tmp_path / "f"), ["a"], tmp_path / "cache").folder
    for file in (tmp_path / "cache" / "identities").iterdir():
        file.write_text("{ cut", encoding="utf-8")

    assert cached(store(tmp_path / "f"), ["a"], tmp_path / "cache").folder == first
