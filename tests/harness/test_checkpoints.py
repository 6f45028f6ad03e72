"""Tests of reading checkpoints of other implementations: every layout that is known, and nothing that could run."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path
from typing import Any

import pytest
import torch

from vmrbench.checkpoints import read_checkpoint
from vmrbench.errors import DataError

STATE = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


def saved(folder: Path, content: Any) -> Path:
    path = folder / "model.ckpt"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("part", ["model", "model_ema", "state_dict"])
def test_weights_are_found_under_every_known_key(tmp_path: Path, part: str) -> None:
    found = read_checkpoint(saved(tmp_path, {part: STATE, "epoch": 3}))

    assert (found.part, list(found.state)) == (part, list(STATE))


def test_a_bare_state_dict_is_its_own_weights(tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path, collections.OrderedDict(STATE)))

    assert (found.part, list(found.state), found.options) == (None, list(STATE), {})


def test_averaged_weights_go_before_the_others(tmp_path: Path) -> None:
    averaged = {name: value + 1 for name, value in STATE.items()}

    found = read_checkpoint(saved(tmp_path, {"model": STATE, "model_ema": averaged}))

    assert torch.equal(found.state["a.bias"], torch.ones(2))


@pytest.mark.parametrize("wrap", [lambda opt: argparse.Namespace(**opt), dict], ids=["namespace", "dict"])
def test_options_are_read_from_a_namespace_and_from_a_mapping(tmp_path: Path, wrap: Any) -> None:
    opt = {"hidden_dim": 256, "device": torch.device("cpu"), "lrs": [1e-4]}

    assert read_checkpoint(saved(tmp_path, {"model": STATE, "opt": wrap(opt)})).options == opt


def test_names_lose_the_prefix_of_a_parallel_module(tmp_path: Path) -> None:
    wrapped = {f"module.{name}": value for name, value in STATE.items()}

    assert list(read_checkpoint(saved(tmp_path, {"model": wrapped})).state) == list(STATE)


def test_state_of_an_optimiser_and_of_a_schedule_is_no_hindrance(tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 400)

    content = {"model": STATE, "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict()}

    assert list(read_checkpoint(saved(tmp_path, content)).state) == list(STATE)


class Foreign:
    """What a pickle must not bring to life."""


def test_an_object_of_another_class_is_named_and_not_unpickled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds an object of '[\w.]*Foreign', which is never unpickled"):
        read_checkpoint(saved(tmp_path, {"model": STATE, "extra": Foreign()}))


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exec', which is never unpickled"):
        read_checkpoint(saved(tmp_path, {"model": STATE, "opt": Runs(tmp_path / "ran")}))

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, expected a state dict"),
        ({"model": {}}, "it is empty"),
        ({"epoch": 3}, "'epoch' is no tensor"),
        ({"model": {"a": 1}}, "'a' is no tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_checkpoint(saved(tmp_path, content))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "pickle"])
def test_a_file_that_was_cut_short_is_told_as_such(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"model": STATE}, path, _use_new_zipfile_serialization=not old)
    path.write_bytes(path.read_bytes()[:-150])

    with pytest.raises(DataError, match="is cut short or damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is text"])
def test_a_file_that_is_no_checkpoint_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)

    with pytest.raises(DataError, match="is not a checkpoint of torch"):
        read_checkpoint(path)


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_checkpoint(tmp_path / "model.ckpt")
