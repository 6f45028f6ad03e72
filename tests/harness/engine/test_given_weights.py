"""Tests of sweeps whose backbone starts from given weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vmrbench.config.options import make_options
from vmrbench.engine.splits import stamps_of
from vmrbench.engine.stages import new_arm, trained_arm, untrimmed_arm
from vmrbench.engine.sweep import plan_sweep
from vmrbench.errors import ConfigError
from vmrbench.identity import canonical
from vmrbench.models import build_backbone
from vmrbench.specs import Dims
from vmrbench.store import read_record
from vmrbench.weight_files import Provenance, read_weight_file, write_weight_file
from vmrbench_plugins.moment_detr import SPEC

AS_GIVEN = ("train.base_epochs=0", "train.extra_epochs=0", "cost.latency_samples=0")
OPTIONS = make_options(SPEC, "small", {"slots": 3}, "test")


def given_model(facts: Any, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_backbone("moment_detr", OPTIONS, dims=Dims(video=facts.clips.width, text=facts.text.width))


@pytest.fixture
def start(make_sweep: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """A sweep of the arms named, on weights for expensive features alone; `told` changes what their file says."""
    facts = make_sweep("none").cells["none"].dataset.built.facts

    def make(*arms: str, sets: tuple[str, ...] = (), seed: int = 77, entry: str = "", **told: Any) -> Any:
        provenance = {
            "backbone": "moment_detr",
            "options": json.loads(canonical(OPTIONS)),
            "preset": "small",
            "video": facts.clips.width,
            "text": facts.text.width,
            "source": "official.ckpt",
            "source_sha256": "0" * 64,
            "part": "model",
        }
        path = tmp_path / "given.safetensors"
        write_weight_file(path, given_model(facts, seed).state_dict(), Provenance(**provenance | told))
        backbone = f"backbones=[{{name: moment_detr, weights: {path}{entry}}}]"
        return make_sweep(*arms, folder=tmp_path, sets=(backbone, f"store={tmp_path}/runs", *sets))

    return make


def test_without_epochs_the_weights_are_evaluated_as_they_are(start: Callable[..., Any]) -> None:
    sweep = start("none", sets=AS_GIVEN)

    result = sweep.run()

    cell = sweep.cells["none"]
    expected = given_model(cell.dataset.built.facts, 77).state_dict()
    arm = trained_arm(cell, sweep.store, sweep.keys("none"))
    assert dict(result.failed) == {}
    assert [name for name, value in arm.backbone.state_dict().items() if not torch.equal(value, expected[name])] == []


def test_around_imported_weights_that_are_frozen_only_the_trimmer_learns(start: Callable[..., Any]) -> None:
    sweep = start("frozen", sets=("train.base_epochs=0", "train.extra_epochs=1", "cost.latency_samples=0"))
    cell = sweep.cells["frozen"]

    result = sweep.run()

    assert dict(result.failed) == {}
    trained, untouched = trained_arm(cell, sweep.store, sweep.keys("frozen")), new_arm(cell)
    given = given_model(cell.dataset.built.facts, 77).state_dict()
    after = trained.backbone.state_dict()
    assert after.keys() == given.keys()
    assert [name for name, value in after.items() if not torch.equal(value, given[name])] == []
    learned = trained.trimmer.head[0].weight
    assert not torch.equal(learned, untouched.trimmer.head[0].weight)


def test_a_record_says_where_given_weights_come_from(start: Callable[..., Any]) -> None:
    sweep = start("none", sets=AS_GIVEN)
    sweep.run()

    (path,) = sweep.config.store.glob("cells/*/record.json")
    record = read_record(path)

    digest = read_weight_file(sweep.cells["none"].backbone.weights.path).sha256
    told = record["cell"]["backbone"]["weights"]
    assert (told["sha256"], told["source"]) == (digest, "official.ckpt")
    (stamp,) = [text for text in record["stamps"] if text.startswith(("GIVEN", "UNTRAINED"))]
    assert stamp.startswith(f"GIVEN WEIGHTS: moment_detr starts from given.safetensors (sha256 {digest[:12]})")


def test_training_starts_from_given_weights(start: Callable[..., Any]) -> None:
    rate = "train.learning_rate=1.0e-9"
    sweep = start("none", "adapted", sets=("train.extra_epochs=0", "cost.latency_samples=0", rate))

    result = sweep.run()

    assert dict(result.failed) == {}
    for name, cell in sweep.cells.items():
        given = given_model(cell.dataset.built.facts, 77).state_dict()
        trained = trained_arm(cell, sweep.store, sweep.keys(name)).backbone.state_dict()
        own = untrimmed_arm(cell).backbone.state_dict()
        weight = "video_projection.0.linear.weight"
        assert torch.allclose(trained[weight], given[weight], atol=1e-6)
        assert not torch.allclose(trained[weight], own[weight], atol=1e-2)


def test_a_learned_trimmer_on_given_weights_is_still_untrained(start: Callable[..., Any]) -> None:
    sweep = start("none", "spotvmr", sets=AS_GIVEN)

    assert [any(s.startswith("UNTRAINED") for s in stamps_of(sweep.cells[arm])) for arm in ("none", "spotvmr")] == [
        False,
        True,
    ]


def test_other_weights_are_another_cell_and_their_place_is_not(start: Callable[..., Any], tmp_path: Path) -> None:
    first = start("none").keys("none")
    moved = start("none").cells["none"].backbone.weights.path.rename(tmp_path / "moved.safetensors")

    same = start("none", sets=(f"backbones.moment_detr.weights={moved}",)).keys("none")
    other = start("none", seed=78).keys("none")

    assert same == first
    assert other.base != first.base


def test_options_come_from_the_file_and_may_be_overridden(start: Callable[..., Any]) -> None:
    entry = ", options: {margin: 0.3, weights: {span: 5}}"

    options = start("none", entry=entry).cells["none"].backbone.options

    assert (options.slots, options.margin, options.weights.span, options.weights.giou) == (3, 0.3, 5.0, 1.0)


def test_training_as_the_preset_is_that_of_the_file(start: Callable[..., Any]) -> None:
    published = start("none", entry=", train_as_preset: true", preset="published_qvhighlights").cells["none"].train

    assert (published.base_epochs, published.clip_norm) == (200, 0.1)


@pytest.mark.parametrize(
    ("arms", "change", "message"),
    [
        (["all"], {}, "widens rows by the index: use the trimmer 'none' or fill: adapter"),
        (["none"], {"video": 9}, r"none/0: weights 'given.safetensors' are for clips of width 9, found"),
        (["none"], {"text": 9}, "are for query tokens of width 9, found"),
        (["none"], {"entry": ", options: {hidden: 32}"}, "leave 'options' out to take those of the file"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_weights_that_do_not_fit_are_told_before_anything_runs(
    start: Callable[..., Any], arms: list[str], change: dict[str, Any], message: str, verb: str
) -> None:
    sweep = start(*arms, **change)

    with pytest.raises(ConfigError, match=message) as caught:
        sweep.run() if verb == "run" else plan_sweep(sweep.config, sweep.catalog)

    assert "\n" not in str(caught.value)
    assert not list(sweep.config.store.glob("base/*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "qd_detr"}, r"backbones\[0\]\.weights: .* holds weights of 'qd_detr', not of 'moment_detr'"),
        ({"entry": ", preset: small"}, r"backbones\[0\]\.preset: 'weights' bring their own options; leave it out"),
        ({"sets": ("backbones.moment_detr.weights=absent",)}, r"\[0\]\.weights: .*absent: there is no such file"),
        ({"entry": ", options: {slot: 3}"}, r"backbones\[0\]\.options\.slot: unknown option; did you mean 'slots'"),
    ],
)
def test_a_wrong_entry_is_addressed(start: Callable[..., Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start("none", **change)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"text", "cannot be read as safetensors"), (None, "does not say what it belongs to")],
)
def test_a_file_that_was_not_imported_is_refused(
    start: Callable[..., Any], tmp_path: Path, content: bytes | None, message: str
) -> None:
    start("none")
    path = tmp_path / "other.safetensors"
    if content is None:
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        start("none", sets=(f"backbones.moment_detr.weights={path}",))
