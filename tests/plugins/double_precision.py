"""Ours in double precision against the official code in double precision, for stored cases that rounding blurs.

A stored case holds what the official code gave in float32. Some of its numbers are further than 1e-5 from what the same
code gives in double precision, so no comparison with them can be stricter than that. `official_in_double.json` keeps
what the official code gives in double precision (its commit as in NOTICE, with weights, inputs and targets of the
stored case): loss terms as they are, and of every tensor its norm and its components along two random directions, in
units of the norm. Two tensors that agree in these are equal; nothing of the tensor itself is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from zlib import crc32

import detr_golden
import numpy as np
import pytest
import torch
from detr_golden import DetrGolden
from torch import Tensor

OFFICIAL: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "official_in_double.json").read_text())
# Most is equal to 1e-12. Where a logarithm has a guard of 1e-6 in one of the two only, gradients differ by up to 4e-7.
TOLERANCE = 1e-6
# How much further from double precision ours may be than the stored results, which other kernels made.
AS_GOOD = 4

More = Callable[[DetrGolden], Mapping[str, Tensor]]


@contextmanager
def in_double() -> Iterator[None]:
    """Whatever is made or cast in single precision is made in double: default type, `torch.float32`, `Tensor.float`."""
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with (
            mock.patch.object(torch, "float32", torch.float64),
            mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
        ):
            yield
    finally:
        torch.set_default_dtype(kept)


class InDouble:
    """A stored case computed by ours in double precision.

    Args:
        name: of the backbone.
        make: the stored case. It takes starts and ends of clips as they are stored (`tef=False`): made anew in double
            they would be other inputs.
        more: outputs beside those that all relatives share, by official name.
    """

    def __init__(self, name: str, make: Callable[[], DetrGolden], more: More | None = None) -> None:
        self.official, self.more = OFFICIAL[name], more
        with in_double():
            self.golden = make()
            self.values = official_values(self.golden, more)

    def assert_equals_the_official_one(self) -> None:
        """Every output, loss term and stored gradient, and the gradient over all parameters."""
        assert self.values.keys() == self.official.keys()
        for name, expected in self.official.items():
            value = self.values[name]
            assert value.dtype == torch.float64
            found = digest(name, value) if value.ndim else float(value)
            assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), name

    def assert_rounding_as_small_as_the_stored_one(self, golden: DetrGolden) -> None:
        """Results in float32 are within 1e-5, or where the stored ones are further away, about as far as these."""
        stored, found = stored_values(golden), official_values(golden, self.more)
        for name in self.values.keys() & stored.keys():
            exact = self.values[name].numpy()
            theirs, ours = (np.abs(one - exact).max() for one in (stored[name], found[name].numpy()))
            assert ours <= max(detr_golden.TOLERANCE * np.abs(exact).max(), AS_GOOD * theirs), name


def official_values(golden: DetrGolden, more: More | None = None) -> dict[str, Tensor]:
    """What ours gives for a stored case, under the names of `outputs.npz` and `losses.npz`; loss terms are weighted."""
    model = golden.model
    model.zero_grad(set_to_none=True)
    outputs = model(golden.batch)
    terms = model.loss(outputs, golden.batch)
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    layers = model.layer_slots(outputs)
    names = [*(f"aux_outputs.{place}." for place in range(len(layers) - 1)), ""]
    values = {
        "saliency_scores": outputs.saliency,
        **{f"{name}pred_logits": slots.logits for name, slots in zip(names, layers, strict=True)},
        **{f"{name}pred_spans": slots.spans for name, slots in zip(names, layers, strict=True)},
        **({} if more is None else more(golden)),
        **{f"loss.loss_{k}": term for k, term in terms.items() if f"loss.loss_{k}" in golden.losses},
        "loss_total_weighted": total,
        **_gradients(golden),
    }
    return {name: value.detach() for name, value in values.items()}


def _gradients(golden: DetrGolden) -> dict[str, Tensor]:
    """Those that are stored, and one that holds all parameters'."""
    key_map, places = golden.spec.key_map, dict(golden.model.named_parameters())
    assert key_map is not None
    # The first of the official names of a parameter. Some have no gradient, in one of the two or in both.
    named = {str(key_map(key)): key for key in reversed(golden.official_keys)}
    found = {named[ours]: torch.zeros_like(p) if p.grad is None else p.grad for ours, p in places.items()}
    gradients = {f"grad.{key}": found[key] for key in sorted(found)}
    whole = torch.cat([gradient.flatten() for gradient in gradients.values()])
    stored = {name: gradient for name, gradient in gradients.items() if name in golden.losses}
    return {"grad": whole, "grad_global_norm": whole.double().norm(), **stored}


def stored_values(golden: DetrGolden) -> dict[str, Any]:
    """Stored results under the names of `official_values`."""
    weights = {f"loss.{name}": weight for name, weight in golden.config["weight_dict"].items()}
    losses = {name: weights.get(name, 1) * value for name, value in golden.losses.items()}
    return {**golden.outputs, **losses}


def digest(name: str, value: Tensor) -> list[float]:
    """The norm of a tensor, and two components of its direction."""
    flat = value.flatten().numpy()
    norm = float(np.linalg.norm(flat))
    directions = np.random.RandomState(crc32(name.encode())).standard_normal((2, flat.size))
    return [norm, *(directions @ flat / norm).tolist()]
