"""By default no backbone reads padding, its neighbours in the batch, or its place there: any lengths, any company."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vmrbench.catalog import load_catalog, make_options
from vmrbench.specs import Dims
from vmrbench.testing.factories import make_batch
from vmrbench.testing.predictions import changed_by_company

pytestmark = pytest.mark.slow

BACKBONES = load_catalog().backbones
SAMPLES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=5)


@functools.cache
def small_model(name: str) -> nn.Module:
    torch.manual_seed(1)
    spec = BACKBONES[name].spec
    return spec.build(make_options(spec, "small" if spec.presets else None, {}, name), Dims(video=16, text=12)).eval()


@pytest.mark.parametrize("name", BACKBONES)
@settings(max_examples=25)
@given(samples=SAMPLES, seed=st.integers(0, 3), clips=st.integers(0, 9), tokens=st.integers(0, 5), data=st.data())
def test_company_changes_no_prediction(
    name: str, samples: list[tuple[int, int]], seed: int, clips: int, tokens: int, data: st.DataObject
) -> None:
    lengths, words = zip(*samples, strict=True)
    batch = make_batch(lengths, query_lengths=words, seed=seed)
    order = data.draw(st.permutations(range(len(samples))))
    rows = order[: data.draw(st.integers(1, len(samples)))]

    assert changed_by_company(small_model(name), batch, rows, clips=clips, tokens=tokens) < 1e-4


@pytest.mark.parametrize("name", ["2d_tan", "bam_detr", "eatr", "tr_detr", "uvcom", "vslnet"])
def test_official_padding_is_noticed(name: str) -> None:
    torch.manual_seed(1)
    spec = BACKBONES[name].spec
    model = spec.build(make_options(spec, "small", {"official_padding": True}, name), Dims(video=16, text=12)).eval()
    batch = make_batch([9, 20, 5], query_lengths=[3, 8, 5])

    assert changed_by_company(model, batch, [2, 0], clips=4, tokens=2) > 1e-4
