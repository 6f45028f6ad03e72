"""`vmrbench weights import`: official checkpoints to weight files, and what is wrong with one in a single line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from typer.testing import CliRunner, Result

from vmrbench.cli import app
from vmrbench.weight_files import read_weight_file, sha256_of

# A backbone whose official code calls its two layers otherwise, and its width `dim`.
PLUGIN = r"""
from dataclasses import dataclass, field
from torch import nn
from vmrbench import hookimpl
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.official_options import rename_options
from vmrbench.specs import BackboneSpec

@dataclass(frozen=True, kw_only=True)
class Costs:
    span: float = 1.0
    label: float = 1.0

@dataclass(frozen=True, kw_only=True)
class Options:
    width: int = 8
    depth: int = 1
    costs: Costs = field(default_factory=Costs)

class Net(nn.Module):
    def __init__(self, options, dims):
        super().__init__()
        self.options = options
        self.video = nn.Linear(2 * dims.video + 2, options.width)
        self.text = nn.Linear(dims.text, options.width)

KEYS = rename_keys([("vid[.](.+)", r"video.\1"), ("txt[.](.+)", r"text.\1")])
READ = rename_options({"dim": "width", "cost_span": "costs.span"}, {"pre_norm": False})

@hookimpl
def vmr_backbones():
    shared = dict(summary="", source="", options=Options, build=Net)
    yield BackboneSpec(name="net", key_map=KEYS, options_from_official=READ, presets={"deep": {"depth": 3}}, **shared)
    yield BackboneSpec(name="optionless", key_map=KEYS, **shared)
    yield BackboneSpec(name="keyless", **shared)
"""
OPT = {"dim": 4, "cost_span": 10, "pre_norm": False, "seed": 3}


def state(width: int = 4) -> dict[str, Tensor]:
    shapes = {"vid.weight": (width, 12), "vid.bias": (width,), "txt.weight": (width, 3), "txt.bias": (width,)}
    return {name: torch.full(shape, float(n)) for n, (name, shape) in enumerate(shapes.items())}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    torch.save({"model": state(), "opt": argparse.Namespace(**OPT)}, "best.ckpt")
    return tmp_path


def call(*arguments: str, backbone: str = "net") -> Result:
    shared = ["weights", "import", "--backbone", backbone, "--plugin", "mine.py"]
    return CliRunner().invoke(app, [*shared, *arguments], prog_name="vmrbench")


def test_one_line_says_what_was_written(folder: Path) -> None:
    result = call("best.ckpt")

    digest = sha256_of(Path("best.ckpt"))[:12]
    assert result.output == (
        "wrote best.safetensors: net, 68 parameters, for clips of width 5 and query tokens of width 3, "
        f"from model of best.ckpt (sha256 {digest})\n"
    )


def test_tensors_are_stored_under_our_names(folder: Path) -> None:
    call("best.ckpt", "--out", "other.safetensors")

    with safe_open("other.safetensors", framework="pt") as opened:
        found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
    assert {name: float(value.mean()) for name, value in found.items()} == {
        "video.weight": 0.0,
        "video.bias": 1.0,
        "text.weight": 2.0,
        "text.bias": 3.0,
    }


def test_options_come_from_preset_then_checkpoint_then_command_line(folder: Path) -> None:
    call("best.ckpt", "--preset", "deep", "--set", "costs.label=7")

    told = read_weight_file(Path("best.safetensors")).provenance
    assert told.options == {"width": 4, "depth": 3, "costs": {"span": 10.0, "label": 7.0}}
    assert (told.backbone, told.preset, told.video, told.text) == ("net", "deep", 5, 3)
    assert (told.source, told.source_sha256, told.part) == ("best.ckpt", sha256_of(Path("best.ckpt")), "model")


def test_the_same_checkpoint_gives_the_same_file(folder: Path) -> None:
    call("best.ckpt", "--out", "one.safetensors")
    call("best.ckpt", "--out", "two.safetensors")

    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()


def test_a_bare_state_dict_takes_its_options_from_the_command_line(folder: Path) -> None:
    torch.save(state(), "bare.pkl")

    assert call("bare.pkl", "--set", "width=4").exit_code == 0
    assert "widths the weights were trained with" in call("bare.pkl").stderr


def test_options_that_the_backbone_cannot_read_are_pointed_at(folder: Path) -> None:
    result = call("best.ckpt", backbone="optionless")

    assert "it holds options, which backbone 'optionless' cannot read: give them by --set" in result.stderr
    assert call("best.ckpt", "--set", "width=4", backbone="optionless").exit_code == 0


def lacks_a_key() -> dict[str, Tensor]:
    return {name: value for name, value in state().items() if name != "txt.bias"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": lacks_a_key(), "opt": OPT}, "1 missing (text.bias)"),
        ({"model": {**state(), "more": torch.zeros(1)}, "opt": OPT}, "1 unknown (more)"),
        ({"model": {**state(), "vid.bias": torch.zeros(9)}, "opt": OPT}, "video.bias: found [9], expected [4]"),
        ({"model": state(), "opt": {**OPT, "pre_norm": True}}, "was trained with pre_norm=True; this backbone knows"),
        ({"model": state(), "opt": {**OPT, "dim": "wide"}}, "options of backbone 'net'.width: found 'wide', expected"),
        ({"model": state(), "opt": argparse.FileType()}, "holds an object of 'argparse.FileType'"),
        ("just text", "holds a str, expected a state dict"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line_and_writes_nothing(
    folder: Path, content: Any, message: str
) -> None:
    torch.save(content, "bad.ckpt")

    result = call("bad.ckpt")

    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: bad.ckpt: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(folder.glob("bad.safetensors*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best.ckpt", "--set", "widht=4"], "--set widht: unknown option; did you mean 'width'?"),
        (["best.ckpt", "--set", "width"], "--set width: expected OPTION=VALUE"),
        (["best.ckpt", "--set", "width=1", "--set", "width.more=1"], "'width' is set to a value already"),
        (["best.ckpt", "--preset", "dep"], "'net' has no preset 'dep'; did you mean 'deep'?"),
        (["best.ckpt", "--out", "best.bin"], "--out best.bin: expected another file that ends in '.safetensors'"),
        (["best.ckpt", "--out", "no/such/folder.safetensors"], "cannot be written"),
        (["absent.ckpt"], "absent.ckpt: there is no such file"),
        (["mine.py"], "mine.py: is not a checkpoint of torch.save"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(folder: Path, arguments: list[str], message: str) -> None:
    result = call(*arguments)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("nett", "no backbone is named 'nett'; did you mean 'net'?"),
        ("keyless", "backbone 'keyless' has no map from official keys"),
    ],
)
def test_a_backbone_that_cannot_take_them_is_one_line(folder: Path, backbone: str, message: str) -> None:
    result = call("best.ckpt", backbone=backbone)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def official_weights(folder: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(folder / "weights.npz").items()}


def test_official_weights_of_moment_detr_bring_their_own_options(shared_dir: Path, folder: Path) -> None:
    golden = shared_dir / "goldens" / "moment_detr"
    config = json.loads((golden / "config.json").read_text())
    opt = argparse.Namespace(**config["official_opt"])
    torch.save({"model": official_weights(golden), "opt": opt}, "official.ckpt")

    result = call("official.ckpt", backbone="moment_detr")

    told = read_weight_file(Path("official.safetensors")).provenance
    assert result.output.startswith(f"wrote official.safetensors: moment_detr, {config['param_count']:,} parameters")
    assert (told.video, told.text) == (46, 40)  # of 48 official channels two are temporal
    assert (told.options["hidden"], told.options["decoder_layers"], told.options["slots"]) == (64, 3, 6)
    assert (told.options["match"], told.options["weights"]["no_object"]) == ({"span": 10, "giou": 1, "label": 4}, 0.1)


@pytest.mark.parametrize("variant", ["2dtan_pool", "2dtan_conv", "2dtan_pool_single"])
def test_official_weights_of_2d_tan_are_taken_with_their_options(shared_dir: Path, folder: Path, variant: str) -> None:
    golden = shared_dir / "goldens" / variant
    config = json.loads((golden / "config.json").read_text())
    tan, data = config["tan"], config["dataset"]
    fusion, proposals = tan["FUSION_MODULE"]["PARAMS"], tan["PROP_MODULE"]
    options = {
        "grid": data["num_clips"],
        "num_frames": data["NUM_SAMPLE_CLIPS"],
        "hidden": tan["PRED_INPUT_SIZE"],
        "text_hidden": fusion["TXT_HIDDEN_SIZE"],
        "lstm_layers": fusion["LSTM"]["NUM_LAYERS"],
        "bidirectional": fusion["LSTM"]["BIDIRECTIONAL"],
        "proposals": "pool" if proposals["NAME"] == "SparsePropMaxPool" else "conv",
        "scales": proposals["PARAMS"]["NUM_SCALE_LAYERS"],
        "map_layers": len(tan["MAP_MODULE"]["PARAMS"]["KERNEL_SIZES"]),
        "kernel": tan["MAP_MODULE"]["PARAMS"]["KERNEL_SIZES"][0],
    }
    torch.save(official_weights(golden), "official.pkl")

    sets = [f"--set={name}={json.dumps(value)}" for name, value in options.items()]
    result = call("official.pkl", *sets, backbone="2d_tan")

    assert result.exit_code == 0, result.output
    assert f"{config['param_count']:,} parameters, for clips of width 48" in result.output
