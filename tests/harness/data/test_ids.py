from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.ids import StoredNames
from vmrbench.errors import DataError


def stored(name: str, *steps: str, known: tuple[str, ...] = ()) -> str:
    return StoredNames(steps, lambda: known)(name)


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("s30-d52.avi", ("drop_suffix .avi",), "s30-d52"),
        ("s30-d52.avi", ("drop_suffix .avi", "add_suffix -cam-002"), "s30-d52-cam-002"),
        ("12", ("add_prefix qid",), "qid12"),
        ("v_ab", ("drop_prefix v_", "upper"), "AB"),
        ("s30-d52", ("drop_suffix .avi", "add_suffix .avi"), "s30-d52.avi"),
        ("AB", ("lower",), "ab"),
        ("a b", ("add_suffix  c",), "a b c"),
    ],
)
def test_steps_are_applied_in_order(name: str, steps: tuple[str, ...], expected: str) -> None:
    assert stored(name, *steps) == expected


def test_any_case_takes_the_stored_name() -> None:
    assert stored("abc", "any_case", known=("ABC", "abd")) == "ABC"


def test_any_case_prefers_the_exact_name() -> None:
    assert stored("abc", "any_case", known=("ABC", "abc")) == "abc"


def test_any_case_leaves_an_unknown_name() -> None:
    assert stored("abc", "any_case", known=("xyz",)) == "abc"


def test_any_case_refuses_a_choice() -> None:
    with pytest.raises(DataError, match="'ABC' and 'Abc' differ in case alone"):
        stored("abc", "any_case", known=("ABC", "Abc"))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (("drop_sufix .avi",), "did you mean 'drop_suffix'"),
        (("drop_suffix",), "expected drop_suffix TEXT"),
        (("lower x",), "expected lower alone"),
        (("any_case", "lower"), "must be the last step"),
    ],
)
def test_steps_that_cannot_be_applied_are_refused(steps: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FeatureSource(path=Path(), encoder="c3d", ids=steps)


def test_files_are_found_in_any_case_and_named_as_stored(tmp_path: Path) -> None:
    np.savez(tmp_path / "ABC.npz", features=np.ones((2, 3)))
    store = FeatureStore(FeatureSource(path=tmp_path, encoder="c3d", ids=("any_case",)))

    assert store.read("abc").shape == (2, 3)
    with pytest.raises(DataError, match=r"no clips features of 'xyz'; 1 of 1"):
        store.check_coverage(["xyz"])


def test_missing_file_is_named_with_what_it_is_stored_as(tmp_path: Path) -> None:
    store = FeatureStore(FeatureSource(path=tmp_path, encoder="c3d", ids=("add_suffix -cam-002",)))

    with pytest.raises(DataError, match=r"s1-cam-002.npz: no clips features of 's1', stored as 's1-cam-002'"):
        store.check_coverage(["s1"])


def test_stores_with_steps_can_be_copied(tmp_path: Path) -> None:
    np.savez(tmp_path / "qid1.npz", features=np.ones((2, 3)))
    store = FeatureStore(FeatureSource(path=tmp_path, encoder="c3d", ids=("add_prefix qid", "lower")))

    assert pickle.loads(pickle.dumps(store)).read("1").shape == (2, 3)


def test_identity_is_that_of_the_stored_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "qid1.npz", features=np.ones((2, 3)))
    by_step = FeatureStore(FeatureSource(path=tmp_path, encoder="c3d", ids=("add_prefix qid",)))
    by_pattern = FeatureStore(FeatureSource(path=tmp_path, encoder="c3d", pattern="qid{video_id}.npz"))

    assert by_step.identity(["1"]) == by_pattern.identity(["1"])
