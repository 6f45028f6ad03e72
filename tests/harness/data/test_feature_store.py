from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.errors import ConfigError, DataError


def save(folder: Path, **arrays: Any) -> FeatureStore:
    for name, rows in arrays.items():
        np.savez(folder / f"{name}.npz", features=np.asarray(rows))
    return store(folder)


def store(path: Path, **changes: Any) -> FeatureStore:
    return FeatureStore(FeatureSource(path=path, encoder="c3d", **changes))


def test_folder_of_npz_is_read_as_fp32(tmp_path: Path) -> None:
    found = save(tmp_path, a=np.array([[1.0, 2.0]], dtype=np.float16)).read("a")

    assert found.tolist() == [[1.0, 2.0]]
    assert found.dtype == np.float32


def test_folder_of_npy_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))

    assert store(tmp_path, pattern="{video_id}.npy").read("a").shape == (2, 3)


def test_one_archive_keyed_by_id_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **{"a b": np.ones((2, 3)), "c": np.zeros((4, 3))})

    assert store(tmp_path / "all.npz").read("a b").shape == (2, 3)


def test_l2_gives_rows_of_length_one(tmp_path: Path) -> None:
    save(tmp_path, a=[[3.0, 4.0]])

    assert store(tmp_path, normalise="l2").read("a")[0].tolist() == pytest.approx([0.6, 0.8])


def test_missing_file_is_named_with_the_number_missing(tmp_path: Path) -> None:
    features = save(tmp_path, a=[[1.0]])

    with pytest.raises(DataError) as caught:
        features.check_coverage(["a", "b", "c", "c"])

    assert str(tmp_path / "b.npz") in str(caught.value)
    assert "'b'; 2 of 3 are missing" in str(caught.value)


def test_missing_id_in_an_archive_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", a=np.ones((2, 3)))

    with pytest.raises(DataError, match="'b'; 1 of 2 are missing"):
        store(tmp_path / "all.npz").check_coverage(["a", "b"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_value_that_is_not_finite_is_refused_with_its_row(tmp_path: Path, value: float) -> None:
    with pytest.raises(DataError, match=r"of 'a': NaN or infinite in row 1 \(1 of 3 rows\)"):
        save(tmp_path, a=[[1.0], [value], [2.0]]).read("a")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of 'a' are complex128; expected real numbers"):
        save(tmp_path, a=np.ones((2, 3), dtype=np.complex128)).read("a")


def test_other_width_than_the_first_is_refused(tmp_path: Path) -> None:
    features = save(tmp_path, a=[[1.0, 2.0]], b=[[1.0]])
    features.read("a")

    with pytest.raises(DataError, match="of 'b' are 1 wide, 2 expected as for 'a'"):
        features.read("b")


@pytest.mark.parametrize("rows", [[1.0, 2.0], np.ones((1, 2, 3)), np.ones((0, 4))])
def test_array_that_is_not_rows_is_refused(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(DataError, match="have shape"):
        save(tmp_path, a=rows).read("a")


def test_wrong_key_names_the_arrays_that_are_there(tmp_path: Path) -> None:
    save(tmp_path, a=[[1.0]])

    with pytest.raises(DataError, match="no array 'rows'; found features"):
        store(tmp_path, key="rows").read("a")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(DataError, match="cannot be read"):
        store(tmp_path, pattern="{video_id}.npy").read("a")


def test_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut short")

    with pytest.raises(DataError, match="cannot be read"):
        store(tmp_path).read("a")


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        store(tmp_path / "absent")


def test_pattern_without_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        store(tmp_path, pattern="all.npz")


def test_identity_changes_with_the_content(tmp_path: Path) -> None:
    before = save(tmp_path, a=[[1.0]]).identity(["a"])

    after = save(tmp_path, a=[[2.0]]).identity(["a"])

    assert before != after


def test_identity_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    assert save(tmp_path / "one", a=[[1.0]]).identity(["a"]) == save(tmp_path / "two", a=[[1.0]]).identity(["a"])


def test_a_file_that_is_not_there_is_part_of_the_identity(tmp_path: Path) -> None:
    features = save(tmp_path, a=[[1.0]])
    before = features.identity(["a", "b"])

    save(tmp_path, b=[[1.0]])

    assert features.identity(["a", "b"]) != before
