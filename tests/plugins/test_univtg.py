"""UniVTG against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from double_precision import in_double
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vmrbench.config.options import make_options
from vmrbench.models import load_official
from vmrbench.specs import Dims
from vmrbench.testing.batch_edits import take_samples
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.anchor_labels import anchor_labels
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import Batch
from vmrbench_plugins.univtg import SPEC, UniVtg, UniVtgOptions

SMALL = make_options(SPEC, "small", {}, "test")
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 43_406_855, 4082.442
# The windows behind the stored targets, in seconds.
WINDOWS = ([[4.0, 16.0], [24.0, 32.0]], [[0.0, 12.0]], [[6.0, 8.0], [10.0, 16.0]])


class Golden:
    """The stored case: its arrays, our model with its weights, and its batch."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.decoded: list[dict[str, Any]] = json.loads((folder / "decoded.json").read_text())
        self.outputs, self.losses = (dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses"))
        inputs, weights = np.load(folder / "inputs.npz"), np.load(folder / "weights.npz")
        official = self.config["official_opt"]
        self.options = UniVtgOptions(
            hidden=official["hidden_dim"],
            layers=official["enc_layers"],
            inner=official["dim_feedforward"],
            official_padding=True,
        )
        # The last two stored channels are each clip's start and end; ours are made from the batch.
        clips = torch.from_numpy(inputs["src_vid"]).float()[..., :-2]
        query = torch.from_numpy(inputs["src_txt"]).float()
        self.model = UniVtg(self.options, Dims(video=clips.shape[-1], text=query.shape[-1])).eval()
        load_official(self.model, {k: torch.from_numpy(v) for k, v in weights.items()}, SPEC.key_map)
        self.batch = even_batch(
            clips,
            torch.from_numpy(inputs["src_vid_mask"]) > 0,
            query,
            torch.from_numpy(inputs["src_txt_mask"]) > 0,
            duration=self.config["durations"],
            moments=[torch.tensor(windows) for windows in WINDOWS],
            extra={
                "saliency_all": torch.from_numpy(self.losses["target.saliency_scores"]),
                "saliency_pos": torch.from_numpy(self.losses["target.saliency_pos_labels"]),
            },
        )

    def without_official_padding(self) -> UniVtg:
        model = UniVtg(replace(self.options, official_padding=False), Dims(video=46, text=40)).eval()
        model.load_state_dict(self.model.state_dict())
        return model


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> Golden:
    return Golden(shared_dir / "goldens" / "univtg")


def test_outputs_equal_the_official_ones(golden: Golden) -> None:
    outputs = golden.model(golden.batch)

    assert _error(outputs.logits.sigmoid(), golden.outputs["pred_logits"][..., 0]) < 1e-5
    assert _error(outputs.reach, golden.outputs["pred_spans"]) < 1e-5
    assert _error(outputs.clips, golden.outputs["vid_mem_proj"]) < 1e-5


def test_saliency_of_real_clips_equals_the_official_one(golden: Golden) -> None:
    real = golden.batch.clip_mask

    saliency = golden.model.saliency(golden.model(golden.batch), golden.batch)

    assert _error(saliency[real], golden.outputs["saliency_scores"][real.numpy()]) < 1e-5


def test_targets_equal_the_official_ones(golden: Golden) -> None:
    labels = anchor_labels(golden.batch, golden.options.anchor)

    assert labels.inside.int().tolist() == golden.losses["target.timestamp_window"].astype(int).tolist()
    assert _error(labels.spans, golden.losses["target.span_labels_nn"]) < 1e-6


def test_weighted_losses_equal_the_official_ones(golden: Golden) -> None:
    terms = golden.model.loss(golden.model(golden.batch), golden.batch)

    names = {"span": "b", "giou": "g", "label": "f", "within": "s_intra", "between": "s_inter"}
    weights = {ours: golden.config["weight_dict"][f"loss_{name}"] for ours, name in names.items()}
    official = {ours: weights[ours] * float(golden.losses[f"loss.loss_{name}"]) for ours, name in names.items()}
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(official, rel=1e-5)


def test_gradients_equal_the_official_ones(shared_dir: Path) -> None:
    """Ours in double precision: in single, the rounding of some processors takes them beyond 1e-5."""
    with in_double():
        golden = Golden(shared_dir / "goldens" / "univtg")
        model, batch = golden.model, golden.batch
        torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()

    assert SPEC.key_map is not None
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
    assert norm == pytest.approx(float(golden.losses["grad_global_norm"]), rel=1e-5)
    for key in (k.removeprefix("grad.") for k in golden.losses if k.startswith("grad.")):
        assert _error(gradients[str(SPEC.key_map(key))], golden.losses[f"grad.{key}"]) < 1e-5


def test_decoded_moments_equal_the_official_ones(golden: Golden) -> None:
    moments = golden.model.predict(golden.model(golden.batch), golden.batch)
    seconds = axis_to_seconds(moments.spans, golden.batch)

    for row, official in enumerate(golden.decoded):
        count = int(golden.batch.lengths[row])
        # The official list goes on with padded clips, at a score of 0.
        windows = np.array(official["pred_relevant_windows"][:count])
        assert seconds[row, :count].detach().numpy() == pytest.approx(windows[:, :2], abs=2e-4)
        assert moments.scores[row, :count].detach().numpy() == pytest.approx(windows[:, 2], abs=6e-5)


def test_official_padding_changes_nothing_for_a_sample_alone(golden: Golden) -> None:
    plain = golden.without_official_padding()

    for row in range(3):
        alone = take_samples(golden.batch, [row])
        official, ours = golden.model(alone), plain(alone)
        assert torch.equal(ours.logits, official.logits)
        assert torch.equal(ours.reach, official.reach)


def test_without_official_padding_the_last_clip_does_not_depend_on_neighbours(golden: Golden) -> None:
    plain, alone = golden.without_official_padding(), take_samples(golden.batch, [2])

    together = plain(golden.batch).logits[2:, :9]

    assert _error(together, plain(alone).logits.detach().numpy()) < 1e-5
    assert _error(golden.model(golden.batch).logits[2:, :9], together.detach().numpy()) > 1e-3


def test_official_keys_map_completely_both_ways(shared_dir: Path) -> None:
    listed = json.loads((shared_dir / "goldens" / "univtg" / "official_full_state_dict_keys.json").read_text())
    assert SPEC.key_map is not None

    mapped = {SPEC.key_map(key): tuple(shape) for key, shape, _ in listed}

    assert mapped == {key: tuple(value.shape) for key, value in _published().state_dict().items()}
    assert len(mapped) == len(listed)


def test_size_equals_the_published_one() -> None:
    assert sum(p.numel() for p in _published().parameters()) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_those_of_the_official_model() -> None:
    """0.15% fewer: the official count has norms in it, and the sentence vector, which is made in `loss` only."""
    batch = make_batch([75], width=2816, index_width=0, text_width=512, query_lengths=[32]).to("meta")
    model = _published().requires_grad_(False)

    with FlopCounterMode(display=False) as counter:
        model.predict(model(batch), batch)

    assert 0.998 * PUBLISHED_MEGAMACS < counter.get_total_flops() / 2e6 <= PUBLISHED_MEGAMACS


def test_inference_makes_no_sentence_vector() -> None:
    model, batch, calls = UniVtg(SMALL, Dims(video=16, text=12)).eval(), make_batch([9]), []
    model.pool.register_forward_hook(lambda *_: calls.append(1))

    model.predict(model(batch), batch)

    assert calls == []


def test_every_moment_holds_its_anchor() -> None:
    model, batch = UniVtg(SMALL, Dims(video=16, text=12)).eval(), make_batch([9])

    start, end = model.predict(model(batch), batch).spans[0, :9].sort(0).values.unbind(-1)

    # The middle of clip i is i + 0.5; sorted starts stand before sorted middles, ends behind.
    middle = torch.arange(9) + 0.5
    assert (start <= middle).all()
    assert (end >= middle).all()


def test_learned_text_positions_are_an_option() -> None:
    torch.manual_seed(0)
    model, batch = UniVtg(replace(SMALL, text_position=True), Dims(video=16, text=12)).eval(), make_batch([9])

    turned = model(replace(batch, query=batch.query.flip(1))).logits

    assert not torch.allclose(turned, model(batch).logits, atol=1e-4)


def test_a_batch_without_any_moment_has_a_label_term_alone() -> None:
    model, batch = UniVtg(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 4])
    bare = replace(batch, moments=(torch.zeros(0, 2), torch.zeros(0, 2)))

    terms = {name: float(term.detach()) for name, term in model.loss(model(bare), bare).items()}

    assert terms.pop("label") > 0
    assert set(terms.values()) == {0.0}


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)
    batch = _planted()
    model = UniVtg(SMALL, Dims(video=16, text=16))
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


def _published() -> UniVtg:
    with torch.device("meta"):
        return UniVtg(UniVtgOptions(), Dims(video=2816, text=512)).eval()


def _error(found: Tensor, expected: Any) -> float:
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())
