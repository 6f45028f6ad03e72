"""What the tests of Moment-DETR's relatives share: a stored case of the official model, and how ours is compared.

A stored case is a folder `goldens/<model>` (see its META.md). Errors are the largest difference over the largest
reference value, tensor by tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vmrbench.models import load_official
from vmrbench.parts.matcher import MatchCosts, match_slots
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.testing.batch_edits import take_samples
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.labels import moment_fractions
from vmrbench.types import Batch

TOLERANCE = 1e-5
QVHIGHLIGHTS = Dims(video=2816, text=512)
# The names of options that all relatives share, ours and the official ones.
SHARED_OPTIONS = {
    "hidden": "hidden_dim",
    "encoder_layers": "enc_layers",
    "decoder_layers": "dec_layers",
    "inner": "dim_feedforward",
    "slots": "num_queries",
}


class DetrGolden:
    """A stored case: its arrays, our model with its weights, and its batch.

    Args:
        folder: of the case.
        spec: of our backbone.
        options: ours beside those in `SHARED_OPTIONS`; `tef=False` takes the starts and ends of clips as they are
            stored, which are rounded where the inputs are kept in half precision.
        keys: file in the folder that lists names and shapes of weights that `weights.npz` leaves out.
    """

    def __init__(
        self, folder: Path, spec: BackboneSpec, options: Mapping[str, Any] | None = None, keys: Path | None = None
    ) -> None:
        self.spec = spec
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.decoded: list[dict[str, Any]] = json.loads((folder / "decoded.json").read_text())
        self.outputs, self.losses, self.inputs = (
            dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses", "inputs")
        )
        official = self.config["official_opt"]
        shared = {ours: official[theirs] for ours, theirs in SHARED_OPTIONS.items()}
        chosen = spec.options(**{**shared, **(options or {})})
        # The last two stored channels are each clip's start and end; ours are made from the batch.
        self.width = self.inputs["src_vid"].shape[-1] - (2 if chosen.tef else 0)
        self.model = spec.build(chosen, Dims(video=self.width, text=self.inputs["src_txt"].shape[-1])).eval()
        weights = self._weights(folder, keys)
        self.official_keys = list(weights)
        load_official(self.model, weights, spec.key_map)
        self.batch = self._batch()

    def _weights(self, folder: Path, keys: Path | None) -> dict[str, Tensor]:
        made = {} if keys is None else recipe_weights(keys, self.config["recipe_seed"], self.config["recipe_gain"])
        stored = folder / "weights.npz"
        return made | ({k: torch.from_numpy(v) for k, v in np.load(stored).items()} if stored.is_file() else {})

    def _batch(self) -> Batch:
        clips, clip_mask, query, query_mask = (
            torch.from_numpy(self.inputs[name]).float()
            for name in ("src_vid", "src_vid_mask", "src_txt", "src_txt_mask")
        )
        labels = {"pos": "saliency_pos_labels", "neg": "saliency_neg_labels", "all": "saliency_all_labels"}
        known = {ours: self.losses.get(f"target.{theirs}") for ours, theirs in labels.items()}
        return even_batch(
            clips[..., : self.width],
            clip_mask > 0,
            query,
            query_mask > 0,
            duration=self.config["durations"],
            moments=[self._moments(row) for row in range(len(clips))],
            extra={f"saliency_{ours}": torch.from_numpy(v) for ours, v in known.items() if v is not None},
        )

    def _moments(self, row: int) -> Tensor:
        centre, width = torch.from_numpy(self.losses[f"target.span_labels.{row}.spans"]).float().unbind(-1)
        return torch.stack([centre - width / 2, centre + width / 2], dim=-1) * self.config["durations"][row]


def assert_outputs_equal(golden: DetrGolden, tolerances: Sequence[float] | None = None) -> None:
    """Slots of every decoder layer, and saliency. tolerances: of each layer's slots, where rounding asks for it."""
    with torch.no_grad():
        outputs = golden.model(golden.batch)
        layers = golden.model.layer_slots(outputs)

    assert error(outputs.saliency, golden.outputs["saliency_scores"]) < TOLERANCE
    names = [*(f"aux_outputs.{place}." for place in range(len(layers) - 1)), ""]
    for name, slots, tolerance in zip(names, layers, tolerances or [TOLERANCE] * len(layers), strict=True):
        assert error(slots.logits, golden.outputs[f"{name}pred_logits"]) < tolerance
        assert error(slots.spans, golden.outputs[f"{name}pred_spans"]) < tolerance


def assert_assignments_equal(golden: DetrGolden, costs: MatchCosts | None = None, *, ends: bool = False) -> None:
    """Which slot of the last layer answers for which true moment. costs: of the matching; default those in options."""
    truth = [span_to_centre_width(spans) for spans in moment_fractions(golden.batch)]

    matching = match_slots(golden.model(golden.batch).slots, truth, costs or golden.model.options.match, ends=ends)

    for row in range(len(truth)):
        here = matching.sample == row
        assert matching.slot[here].tolist() == golden.losses[f"match.{row}.pred"].tolist()
        assert matching.truth[here].tolist() == golden.losses[f"match.{row}.tgt"].tolist()


def assert_losses_equal(
    golden: DetrGolden, more: Mapping[str, float] | None = None, tolerances: Mapping[str, float] | None = None
) -> None:
    """Every weighted term, and that there is no other.

    Args:
        golden: the stored case.
        more: expected terms beside those with an official weight.
        tolerances: of terms, where rounding asks for it.
    """
    terms = golden.model.loss(golden.model(golden.batch), golden.batch)

    # A few originals weigh terms that they then do not compute.
    weights = {k: w for k, w in golden.config["weight_dict"].items() if f"loss.{k}" in golden.losses}
    official = {k.removeprefix("loss_"): w * float(golden.losses[f"loss.{k}"]) for k, w in weights.items()}
    found = {name: float(term.detach()) for name, term in terms.items()}
    expected = {**official, **(more or {})}
    assert found.keys() == expected.keys()
    for name, term in expected.items():
        assert found[name] == pytest.approx(term, rel=(tolerances or {}).get(name, TOLERANCE)), name
    whole = max([TOLERANCE, *(tolerances or {}).values()])
    assert sum(found.values()) == pytest.approx(float(golden.losses["loss_total_weighted"]), rel=whole)


def assert_gradients_equal(golden: DetrGolden, tolerance: float = TOLERANCE, norm_tolerance: float = TOLERANCE) -> None:
    """The norm over all parameters (norm_tolerance), and every gradient that is stored (tolerance)."""
    model, key_map = golden.model, golden.spec.key_map
    assert key_map is not None
    model.zero_grad(set_to_none=True)

    torch.stack(list(model.loss(model(golden.batch), golden.batch).values())).sum().backward()

    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
    assert norm == pytest.approx(float(golden.losses["grad_global_norm"]), rel=norm_tolerance)
    for key in (k.removeprefix("grad.") for k in golden.losses if k.startswith("grad.")):
        assert error(gradients[str(key_map(key))], golden.losses[f"grad.{key}"]) < tolerance


def assert_decoded_equal(golden: DetrGolden, clip_seconds: float = 2.0, tolerance: float = 6e-5) -> None:
    """Ranked moments in seconds, rounded to clips as the official decoding does; that is its protocol's business.

    The official one clamps to the 150 seconds of its data set, ours to the video. tolerance: of scores, which the
    official decoding rounds to four decimals.
    """
    with torch.no_grad():
        moments = golden.model.predict(golden.model(golden.batch), golden.batch)
    seconds = axis_to_seconds(moments.spans, golden.batch)

    for row, official in enumerate(golden.decoded):
        order = moments.scores[row].argsort(descending=True, stable=True)
        windows = (seconds[row, order] / clip_seconds).round() * clip_seconds
        inside = torch.tensor([window[:2] for window in official["pred_relevant_windows"]])
        assert windows.tolist() == inside.clamp(max=golden.config["durations"][row]).tolist()
        found = moments.scores[row, order].tolist()
        assert found == pytest.approx([window[2] for window in official["pred_relevant_windows"]], abs=tolerance)


def assert_unpadded_equal(golden: DetrGolden, options: Mapping[str, Any], *, saliency: bool = True) -> None:
    """Outputs for each sample alone, without padding, and with other options and the same weights are the same.

    saliency: compare it too.
    """
    other = golden_with(golden, options)

    for row in range(len(golden.batch.sample_ids)):
        alone = take_samples(golden.batch, [row])
        with torch.no_grad():
            here, there = golden.model(alone), other(alone)
        assert error(there.slots.logits, here.slots.logits.numpy()) < TOLERANCE
        assert error(there.slots.spans, here.slots.spans.numpy()) < TOLERANCE
        if saliency:
            assert error(there.saliency, here.saliency.numpy()) < TOLERANCE


def golden_with(golden: DetrGolden, options: Mapping[str, Any]) -> nn.Module:
    """A model with the weights of the stored case and other options."""
    dims = Dims(video=golden.batch.clips.shape[-1], text=golden.batch.query.shape[-1])
    other = golden.spec.build(replace(golden.model.options, **options), dims).eval()
    other.load_state_dict(golden.model.state_dict())
    return other


def assert_keys_map_completely(spec: BackboneSpec, listed: Path, aliases: int = 0) -> None:
    """Every official key has a place of its shape in ours, and every one of ours is filled.

    Args:
        spec: of our backbone.
        listed: file with [key, shape, type] of the official model.
        aliases: official keys that name a tensor which another key names too.
    """
    assert spec.key_map is not None
    official = json.loads(listed.read_text())

    mapped = {spec.key_map(key): tuple(shape) for key, shape, _ in official}

    assert mapped == {key: tuple(value.shape) for key, value in published(spec).state_dict().items()}
    assert len(mapped) == len(official) - aliases


def published(spec: BackboneSpec, dims: Dims = QVHIGHLIGHTS) -> nn.Module:
    """The model of the paper, on the meta device: shapes without values."""
    with torch.device("meta"):
        return spec.build(spec.options(), dims).eval()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def megamacs(model: nn.Module, batch: Batch | None = None) -> float:
    """Millions of multiply-adds of inference; default: 75 clips of 2816 channels and 32 tokens of 512."""
    if batch is None:
        batch = make_batch([75], width=2816, index_width=0, text_width=512, query_lengths=[32])
    model.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        model(batch.to("meta"))
    return counter.get_total_flops() / 2e6


def calls_in_inference(model: nn.Module, modules: Iterable[nn.Module], batch: Batch) -> int:
    """How often the forward methods of the modules run, all together, when moments are predicted."""
    calls: list[int] = []
    hooks = [module.register_forward_hook(lambda *_: calls.append(1)) for module in modules]
    with torch.no_grad():
        model.predict(model(batch), batch)
    for hook in hooks:
        hook.remove()
    return len(calls)


def recipe_weights(keys: Path, seed: int, gain: float) -> dict[str, Tensor]:
    """Weights that no file holds: made from their names and shapes, by the recipe in every META.md.

    keys: file with [key, shape, type]; one that is listed later wins where two name the same tensor.
    """
    listed = json.loads(keys.read_text())
    return {key: _recipe_weight(key, shape, seed, gain) for key, shape, kind in listed if "float" in kind}


def _recipe_weight(key: str, shape: list[int], seed: int, gain: float) -> Tensor:
    random = np.random.RandomState((crc32(key.encode()) + seed) % 2**32)
    normal, name = random.standard_normal(shape), key.rsplit(".", 1)[-1]
    if len(shape) >= 2:
        value = gain * normal / math.sqrt(math.prod(shape[1:]))
    elif name == "weight":
        value = 1 + 0.2 * normal
    else:
        value = 0.1 * normal
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def error(found: Tensor, expected: Any) -> float:
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())


def planted_batch() -> Batch:
    """Eight videos of 32 clips; the clips of the moment point where the query points."""
    batch = make_batch([32] * 8, width=16, text_width=16, query_lengths=[1] * 8)
    moments, clips = [], 0.3 * batch.clips
    for row in range(8):
        first = 3 * row
        clips[row, first : first + 6] += 3 * batch.query[row, 0]
        moments.append(torch.tensor([[first * 2.0, (first + 6) * 2.0]]))
    return replace(batch, clips=clips, moments=tuple(moments))


def losses_of_training(model: nn.Module, batch: Batch, steps: int = 60, learning_rate: float = 1e-3) -> list[float]:
    """The sum of the loss terms at every step on one batch."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=learning_rate), []
    for _ in range(steps):
        loss = torch.stack(list(model.loss(model(batch), batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
