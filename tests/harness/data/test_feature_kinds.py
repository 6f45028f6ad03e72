"""Every kind of file that features come in, written by the tests as the published code bases write it."""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
import torch

from vmrbench.data import arrays
from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.errors import ConfigError, DataError

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def store(path: Path, **changes: Any) -> FeatureStore:
    return FeatureStore(FeatureSource(path=path, encoder="c3d", **changes))


def npz_bytes(**members: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **members)
    return stream.getvalue()


def npy_bytes(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_lmdb(path: Path, values: Mapping[str, bytes]) -> Path:
    with lmdb.open(str(path), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    return path


def write_hdf5(path: Path, **members: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, rows in members.items():
            file[name] = rows
    return path


def test_tensors_saved_by_torch_are_read(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(ROWS).to(torch.bfloat16), tmp_path / "a.pt")

    assert store(tmp_path, pattern="{video_id}.pt").read("a").tolist() == ROWS.tolist()


def test_tensor_under_a_key_is_read(tmp_path: Path) -> None:
    torch.save({"features": torch.from_numpy(ROWS)}, tmp_path / "a.pt")

    assert store(tmp_path, pattern="{video_id}.pt").read("a").tolist() == ROWS.tolist()


def test_objects_in_a_torch_file_are_never_unpickled(tmp_path: Path) -> None:
    torch.save({"features": Path("a")}, tmp_path / "a.pt")

    with pytest.raises(DataError, match="never unpickled"):
        store(tmp_path, pattern="{video_id}.pt").read("a")


@pytest.mark.parametrize("content", [{"rows": 1}, [1, 2]])
def test_torch_file_without_a_tensor_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")

    with pytest.raises(DataError, match=r"no array 'features'; found rows|a list found, a tensor"):
        store(tmp_path, pattern="{video_id}.pt").read("a")


def test_array_of_an_hdf5_file_is_read(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "f.hdf5", a=ROWS.astype(np.float64))

    found = store(path).read("a")

    assert found.tolist() == ROWS.tolist()
    assert found.dtype == np.float32


def test_array_inside_an_hdf5_group_is_read_by_its_key(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "f.h5", **{"v_a/c3d_features": ROWS})

    assert store(path, key="c3d_features").read("v_a").tolist() == ROWS.tolist()


def test_hdf5_group_without_the_key_names_what_it_holds(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "f.h5", **{"v_a/c3d_features": ROWS})

    with pytest.raises(DataError, match="no array 'features'; found c3d_features; set key"):
        store(path).read("v_a")


def test_hdf5_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "movies.features", a=ROWS)

    assert store(path).read("a").shape == (3, 2)


@pytest.mark.parametrize("members", [{"features": ROWS, "allow_pickle": np.array(True)}, {"features": ROWS}])
def test_npz_values_of_lmdb_are_read_as_cone_stores_them(tmp_path: Path, members: Mapping[str, Any]) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": npz_bytes(**members)})

    assert store(path).read("a").tolist() == ROWS.tolist()


def test_npy_values_of_lmdb_are_read(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": npy_bytes(ROWS)})

    assert store(path).read("a").tolist() == ROWS.tolist()


def test_id_that_can_be_no_key_of_lmdb_is_missing(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": npy_bytes(ROWS)})

    assert store(path).missing(["a", "", "x" * 600]) == ["", "x" * 600]


def test_array_of_something_else_than_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[("x", 1)]], dtype=[("name", "U3"), ("number", "f4")]))

    with pytest.raises(DataError, match="cannot be read"):
        store(tmp_path, pattern="{video_id}.npy").read("a")


def test_other_values_of_lmdb_are_refused_with_their_first_bytes(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": pickle.dumps(ROWS)})

    with pytest.raises(DataError, match=r"the value of 'a' begins with .*npy or npz bytes expected"):
        store(path).read("a")


def test_pickled_objects_in_an_lmdb_value_are_never_loaded(tmp_path: Path) -> None:
    value = io.BytesIO()
    np.save(value, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    path = write_lmdb(tmp_path / "clips", {"a": value.getvalue()})

    with pytest.raises(DataError, match="cannot be read"):
        store(path).read("a")


def test_missing_key_of_lmdb_is_named(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": npy_bytes(ROWS)})

    with pytest.raises(DataError, match="no clips features of 'b'; 1 of 2 are missing"):
        store(path).check_coverage(["a", "b"])


def test_identity_of_lmdb_depends_on_values_and_not_on_the_order_of_writing(tmp_path: Path) -> None:
    one, two = npy_bytes(ROWS), npy_bytes(ROWS + 1)
    first = store(write_lmdb(tmp_path / "first", {"a": one, "b": two})).identity(["a", "b"])

    assert store(write_lmdb(tmp_path / "second", {"b": two, "a": one})).identity(["b", "a"]) == first
    assert store(write_lmdb(tmp_path / "third", {"a": one, "b": one})).identity(["a", "b"]) != first


def test_missing_lmdb_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lmdb(tmp_path / "clips", {"a": npy_bytes(ROWS)})
    arrays._lmdb_environment.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)

    with pytest.raises(ConfigError, match=r"pip install 'vmrbench\[lmdb\]'"):
        store(path)


@pytest.mark.parametrize(
    ("name", "start"), [("a.h5", b"\x89HDF\r\n\x1a\n"), ("a.npz", b"PK\x03\x04"), ("a.bin", b"some text")]
)
def test_broken_container_is_refused(tmp_path: Path, name: str, start: bytes) -> None:
    (tmp_path / name).write_bytes(start + b"cut short")

    with pytest.raises(DataError, match=r"cannot be opened|not an npz archive|neither npz"):
        store(tmp_path / name)


@pytest.mark.parametrize("cut", [20, 60, 150])
@pytest.mark.parametrize("suffix", ["npz", "npy", "pt"])
def test_file_cut_short_is_refused(tmp_path: Path, suffix: str, cut: int) -> None:
    file = tmp_path / f"a.{suffix}"
    if suffix == "pt":
        torch.save(torch.from_numpy(ROWS), file)
    else:
        file.write_bytes(npz_bytes(features=ROWS) if suffix == "npz" else npy_bytes(ROWS))
    file.write_bytes(file.read_bytes()[:cut])

    with pytest.raises(DataError, match="cannot be read"):
        store(tmp_path, pattern=f"{{video_id}}.{suffix}").read("a")


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_files_are_closed_with_the_store_inside_a_cycle_too(tmp_path: Path, kind: str) -> None:
    if kind == "npz":
        np.savez(tmp_path / "f.npz", a=ROWS)
    else:
        write_hdf5(tmp_path / "f.h5", a=ROWS)
    reader: Any = arrays.open_reader(tmp_path / f"f.{kind}", "", "features")
    handle = reader._archive() if kind == "npz" else reader._file()
    reader.itself = reader

    del reader
    gc.collect()

    assert handle.zip is None if kind == "npz" else not handle


def test_handles_open_anew_in_a_copy(tmp_path: Path) -> None:
    first = store(write_hdf5(tmp_path / "f.h5", a=ROWS))
    first.read("a")

    assert pickle.loads(pickle.dumps(first)).read("a").tolist() == ROWS.tolist()


def test_picked_layer_and_token_are_those_of_the_indices(tmp_path: Path) -> None:
    array = np.arange(2 * 4 * 5 * 3, dtype=np.float16).reshape(2, 4, 5, 3)
    np.save(tmp_path / "a.npy", array)

    found = store(tmp_path, pattern="{video_id}.npy", pick=(-1, 0)).read("a")

    assert found.tolist() == array[:, 3, 0].tolist()


@pytest.mark.parametrize(("pick", "said"), [((), r"\[rows, width\] expected"), ((0, 9), "out of bounds.*pick")])
def test_axes_that_are_not_picked_right_are_refused(tmp_path: Path, pick: tuple[int, ...], said: str) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4, 5, 3)))

    with pytest.raises(DataError, match=said):
        store(tmp_path, pattern="{video_id}.npy", pick=pick).read("a")


def test_every_second_row_is_taken(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)

    assert store(tmp_path, pattern="{video_id}.npy", take_every=2).read("a").tolist() == ROWS[[0, 2]].tolist()


def test_vector_of_a_whole_sentence_is_one_token(tmp_path: Path) -> None:
    np.savez(tmp_path / "qid1.npz", pooler_output=np.ones(4))

    found = store(tmp_path, role="text", pattern="qid{query_id}.npz", key="pooler_output").read("1")

    assert found.shape == (1, 4)
