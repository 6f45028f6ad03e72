from __future__ import annotations

import pytest
import torch

import vmrbench
from vmrbench.errors import ConfigError, DataError, PluginError
from vmrbench.models import build_backbone, load_official
from vmrbench.specs import Dims

DIMS = Dims(video=6, text=5)
# The official checkpoints have an LSTM that reads forwards only.
ONE_WAY = {"bidirectional": False}


def test_a_backbone_is_built_by_name_preset_and_options() -> None:
    model = build_backbone("moment_detr", {"slots": 3}, dims=DIMS, preset="small")

    assert model.slot_position.weight.shape == (3, 64)


def test_a_whole_options_object_is_taken_as_it_is() -> None:
    options = build_backbone("moment_detr", {"slots": 3}, dims=DIMS, preset="small").options

    assert build_backbone("moment_detr", options, dims=DIMS).options is options


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'moment_detr'"):
        build_backbone("moment-detr", dims=DIMS)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'slots'"):
        build_backbone("moment_detr", {"slot": 3}, dims=DIMS)


def test_both_functions_are_offered_by_the_package() -> None:
    assert vmrbench.build_backbone is build_backbone
    assert vmrbench.load_official is load_official


def test_official_weights_take_their_places() -> None:
    model = build_backbone("2d_tan", ONE_WAY, dims=DIMS, preset="small")
    official = _official(model)

    load_official(model, {key: torch.full_like(value, 0.5) for key, value in official.items()})

    assert all(bool((value == 0.5).all()) for value in model.state_dict().values())


def test_every_misfit_of_official_weights_is_told_at_once() -> None:
    model = build_backbone("2d_tan", ONE_WAY, dims=DIMS, preset="small")
    official = _official(model)
    del official["pred_layer.bias"]
    official["pred_layer.weight"] = torch.zeros(1, 7, 1, 1)
    official["other.weight"] = torch.zeros(1)

    with pytest.raises(DataError) as caught:
        load_official(model, official)

    message = str(caught.value)
    assert "1 unknown (other.weight)" in message
    assert "1 missing (score.bias)" in message
    assert "score.weight: found [1, 7, 1, 1], expected [1, 48, 1, 1]" in message
    assert "\n" not in message


def test_weights_that_do_not_fit_change_nothing() -> None:
    model = build_backbone("2d_tan", ONE_WAY, dims=DIMS, preset="small")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    official = {key: value + 1 for key, value in _official(model).items()}
    del official["pred_layer.bias"]

    with pytest.raises(DataError):
        load_official(model, official)

    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_module_without_a_key_map_is_refused() -> None:
    with pytest.raises(PluginError, match="no map from official keys"):
        load_official(torch.nn.Linear(2, 2), {})


def _official(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the small 2D-TAN under the names of the official code."""
    fixed = {
        "frame_projection": "frame_layer.vis_conv",
        "text_projection": "fusion_layer.tex_linear",
        "cell_projection": "fusion_layer.vis_conv",
        "map_convolution": "map_layer",
        "text_encoder.forwards.0": "fusion_layer.textual_encoder",
        "score": "pred_layer",
    }
    named = {}
    for key, value in model.state_dict().items():
        ours = next(prefix for prefix in fixed if key.startswith(prefix))
        named[fixed[ours] + key.removeprefix(ours)] = value.clone()
    return named
