"""Tests of which parameters decay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vmrbench.catalog import Catalog
from vmrbench.config.options import make_options
from vmrbench.engine.weight_decay import split_by_decay
from vmrbench.parts.attention import MultiHeadAttention
from vmrbench.parts.row_layers import RowConv, RowNorm, ScaledBranch
from vmrbench.specs import Dims


def decayed_names(module: nn.Module) -> set[str]:
    decayed = {id(parameter) for parameter in split_by_decay(module)[0]}
    return {name for name, parameter in module.named_parameters() if id(parameter) in decayed}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Linear(4, 1), {"weight"}),
        (nn.Conv1d(1, 1, 3), {"weight"}),
        (RowConv(4, 1), {"conv.weight"}),
        (nn.Embedding(5, 4), {"weight"}),
        (nn.LSTM(4, 3), {"weight_ih_l0", "weight_hh_l0"}),
        (MultiHeadAttention(8, 2), {"in_proj_weight", "out_proj.weight"}),
        (nn.LayerNorm(4), set()),
        (RowNorm(4), set()),
        (ScaledBranch(4, 0.0, 1.0), set()),
        (nn.ParameterList([torch.zeros(1, 4), torch.zeros(4, 1)]), set()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_weights_decay_and_biases_norms_scales_and_single_tokens_do_not(module: nn.Module, expected: set[str]) -> None:
    assert decayed_names(module) == expected


def test_every_parameter_is_in_one_of_the_groups() -> None:
    module = nn.Sequential(nn.Linear(4, 4), RowNorm(4))

    decayed, plain = split_by_decay(module)

    assert [id(p) for p in module.parameters()] == [id(decayed[0]), id(plain[0]), id(plain[1]), id(plain[2])]


@pytest.mark.parametrize("name", ["moment_detr", "2d_tan"])
def test_backbones_without_unusual_shapes_decay_whatever_has_two_dimensions(offers: Catalog, name: str) -> None:
    spec = offers.backbones[name].spec
    module = spec.build(make_options(spec, "small", {}, name), Dims(video=16, text=12))

    assert decayed_names(module) == {name for name, parameter in module.named_parameters() if parameter.ndim >= 2}
