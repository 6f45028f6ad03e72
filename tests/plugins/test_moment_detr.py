"""Moment-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vmrbench.config.options import make_options
from vmrbench.models import load_official
from vmrbench.parts.matcher import match_slots
from vmrbench.parts.temporal import with_endpoints
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import Dims
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.labels import moment_fractions
from vmrbench.types import Batch
from vmrbench_plugins.moment_detr import SPEC, MomentDetr, MomentDetrOptions

SMALL = make_options(SPEC, "small", {}, "test")
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 4_823_305, 295.591


class Golden:
    """The stored case: its arrays, our model with its weights, and its batch."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.decoded: list[dict[str, Any]] = json.loads((folder / "decoded.json").read_text())
        self.outputs, self.losses = (dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses"))
        inputs, weights = np.load(folder / "inputs.npz"), np.load(folder / "weights.npz")
        official = self.config["official_opt"]
        options = MomentDetrOptions(
            hidden=official["hidden_dim"],
            encoder_layers=official["enc_layers"],
            decoder_layers=official["dec_layers"],
            inner=official["dim_feedforward"],
            slots=official["num_queries"],
        )
        # The last two stored channels are each clip's start and end; ours are made from the batch.
        clips = torch.from_numpy(inputs["src_vid"])[..., :-2]
        query = torch.from_numpy(inputs["src_txt"])
        self.model = MomentDetr(options, Dims(video=clips.shape[-1], text=query.shape[-1])).eval()
        load_official(self.model, {k: torch.from_numpy(v) for k, v in weights.items()}, SPEC.key_map)
        self.batch = even_batch(
            clips,
            torch.from_numpy(inputs["src_vid_mask"]) > 0,
            query,
            torch.from_numpy(inputs["src_txt_mask"]) > 0,
            duration=self.config["durations"],
            moments=[self._moments(row) for row in range(3)],
            extra={
                "saliency_pos": torch.from_numpy(self.losses["target.saliency_pos_labels"]),
                "saliency_neg": torch.from_numpy(self.losses["target.saliency_neg_labels"]),
            },
        )

    def _moments(self, row: int) -> Tensor:
        centre, width = torch.from_numpy(self.losses[f"target.span_labels.{row}.spans"]).unbind(-1)
        return torch.stack([centre - width / 2, centre + width / 2], dim=-1) * self.config["durations"][row]


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> Golden:
    return Golden(shared_dir / "goldens" / "moment_detr")


def test_outputs_equal_the_official_ones(golden: Golden) -> None:
    outputs = golden.model(golden.batch)

    assert _error(outputs.slots.logits, golden.outputs["pred_logits"]) < 1e-5
    assert _error(outputs.slots.spans, golden.outputs["pred_spans"]) < 1e-5
    assert _error(outputs.saliency, golden.outputs["saliency_scores"]) < 1e-5


@pytest.mark.parametrize("layer", [0, 1])
def test_earlier_layers_equal_the_official_ones(golden: Golden, layer: int) -> None:
    slots = golden.model.heads(golden.model(golden.batch).earlier[layer])

    assert _error(slots.logits, golden.outputs[f"aux_outputs.{layer}.pred_logits"]) < 1e-5
    assert _error(slots.spans, golden.outputs[f"aux_outputs.{layer}.pred_spans"]) < 1e-5


def test_temporal_channels_equal_the_official_ones(golden: Golden, shared_dir: Path) -> None:
    official = np.load(shared_dir / "goldens" / "moment_detr" / "inputs.npz")["src_vid"]

    assert _error(with_endpoints(golden.batch), official) < 1e-6


def test_assignments_equal_the_official_ones(golden: Golden) -> None:
    truth = [span_to_centre_width(spans) for spans in moment_fractions(golden.batch)]

    matching = match_slots(golden.model(golden.batch).slots, truth, golden.model.options.match)

    for row in range(3):
        here = matching.sample == row
        assert matching.slot[here].tolist() == golden.losses[f"match.{row}.pred"].tolist()
        assert matching.truth[here].tolist() == golden.losses[f"match.{row}.tgt"].tolist()


def test_weighted_losses_equal_the_official_ones(golden: Golden) -> None:
    terms = golden.model.loss(golden.model(golden.batch), golden.batch)

    weights = golden.config["weight_dict"]
    official = {k.removeprefix("loss_"): w * float(golden.losses[f"loss.{k}"]) for k, w in weights.items()}
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(official, rel=1e-5)


def test_gradients_equal_the_official_ones(golden: Golden) -> None:
    model, batch = golden.model, golden.batch
    assert SPEC.key_map is not None
    model.zero_grad(set_to_none=True)

    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()

    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
    assert norm == pytest.approx(float(golden.losses["grad_global_norm"]), rel=1e-5)
    for key in (k.removeprefix("grad.") for k in golden.losses if k.startswith("grad.")):
        assert _error(gradients[str(SPEC.key_map(key))], golden.losses[f"grad.{key}"]) < 1e-5


def test_decoded_moments_equal_the_official_ones(golden: Golden) -> None:
    moments = golden.model.predict(golden.model(golden.batch), golden.batch)
    seconds = axis_to_seconds(moments.spans, golden.batch)

    for row, official in enumerate(golden.decoded):
        order = moments.scores[row].argsort(descending=True, stable=True)
        # The official decoding rounds to the 2-second clips of its data set; that is its protocol's business.
        windows = (seconds[row, order] / 2).round() * 2
        assert windows.tolist() == [window[:2] for window in official["pred_relevant_windows"]]
        found = moments.scores[row, order].tolist()
        assert found == pytest.approx([window[2] for window in official["pred_relevant_windows"]], abs=6e-5)


def test_official_keys_map_completely_both_ways(shared_dir: Path) -> None:
    path = shared_dir / "goldens" / "moment_detr" / "official_full_state_dict_keys.json"
    listed = json.loads(path.read_text())
    assert SPEC.key_map is not None

    mapped = {SPEC.key_map(key): tuple(shape) for key, shape, _ in listed}

    assert mapped == {key: tuple(value.shape) for key, value in _published().state_dict().items()}
    assert len(mapped) == len(listed)


def test_size_equals_the_published_one() -> None:
    assert sum(p.numel() for p in _published().parameters()) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_those_of_the_official_model() -> None:
    """Within 2%: ours are 0.4% fewer, because heads of auxiliary layers run in `loss` only."""
    batch = make_batch([75], width=2816, index_width=0, text_width=512, query_lengths=[32]).to("meta")
    model = _published().requires_grad_(False)

    with FlopCounterMode(display=False) as counter:
        model(batch)

    assert counter.get_total_flops() / 2e6 == pytest.approx(PUBLISHED_MEGAMACS, rel=0.02)


def test_learned_text_positions_are_an_option() -> None:
    torch.manual_seed(0)
    model, batch = MomentDetr(replace(SMALL, text_position=True), Dims(video=16, text=12)).eval(), make_batch([9])
    assert batch.query_mask.all()

    turned = model(replace(batch, query=batch.query.flip(1))).slots.spans

    assert not torch.allclose(turned, model(batch).slots.spans, atol=1e-4)


def test_without_temporal_channels_the_input_is_as_wide_as_the_features() -> None:
    model = MomentDetr(replace(SMALL, tef=False), Dims(video=16, text=12))

    assert model.video_projection[0].linear.in_features == 16
    assert model(make_batch([9])).slots.spans.shape == (1, SMALL.slots, 2)


def test_inference_runs_no_auxiliary_heads() -> None:
    model, batch, calls = MomentDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9]), []
    model.heads.register_forward_hook(lambda *_: calls.append(1))

    model.predict(model(batch), batch)

    assert len(calls) == 1


def test_slots_of_a_trimmed_video_are_fractions_of_the_whole_video() -> None:
    model, batch = MomentDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([4], clip_seconds=1.0)
    # Clips 6..10 of a video of 20 seconds are all that is left.
    left = replace(batch, clip_start=batch.clip_start + 6, clip_end=batch.clip_end + 6, duration=torch.tensor([20.0]))

    spans = model.distill_targets(model(left), left).candidate_spans

    assert spans is not None
    assert spans.min() >= 0.3
    assert spans.max() <= 0.5


def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)
    batch = _planted()
    model = MomentDetr(SMALL, Dims(video=16, text=16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []

    for _ in range(60):
        loss = torch.stack(list(model.loss(model(batch), batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.5 * losses[0]


def _planted() -> Batch:
    """Eight videos of 32 clips; the clips of the moment point where the query points."""
    batch = make_batch([32] * 8, width=16, text_width=16, query_lengths=[1] * 8)
    moments, clips = [], 0.3 * batch.clips
    for row in range(8):
        first = 3 * row
        clips[row, first : first + 6] += 3 * batch.query[row, 0]
        moments.append(torch.tensor([[first * 2.0, (first + 6) * 2.0]]))
    return replace(batch, clips=clips, moments=tuple(moments))


def _published() -> MomentDetr:
    with torch.device("meta"):
        return MomentDetr(MomentDetrOptions(), Dims(video=2816, text=512)).eval()


def _error(found: Tensor, expected: Any) -> float:
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())
