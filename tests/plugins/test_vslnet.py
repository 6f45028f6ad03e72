"""VSLNet against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

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

from vmrbench.config.options import make_options
from vmrbench.cost.macs import count_macs
from vmrbench.errors import DataError
from vmrbench.models import load_official
from vmrbench.specs import Dims
from vmrbench.testing.batch_edits import take_samples
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.boundary_labels import boundary_labels
from vmrbench.types import Batch
from vmrbench_plugins.vslnet import SPEC, VslNet, VslNetOptions

VARIANTS = ["vslnet", "vslnet_nowordvec", "vslnet_transformer"]
SMALL = make_options(SPEC, "small", {}, "test")
DIMS = Dims(video=48, text=30)
# Parameters, and multiply-adds in millions by number of clips, of the official model with 10 words of 8 characters.
PUBLISHED = {
    "recurrent": (1_082_671, {64: 49.101, 128: 98.654}),
    "transformer": (972_591, {64: 52.230, 128: 109.107}),
}


class Golden:
    """One stored variant: its arrays, our model with its weights, and its batch."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.outputs, self.losses = (dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses"))
        inputs, weights = np.load(folder / "inputs.npz"), np.load(folder / "weights.npz")
        official = self.config["configs"]
        self.options = VslNetOptions(
            hidden=official["dim"],
            max_clips=official["max_pos_len"],
            predictor="recurrent" if official["predictor"] == "rnn" else "transformer",
            alphabet=official["char_size"],
            char_width=official["char_dim"],
            vocabulary=official["word_size"],
            learned_words=self.config["word_vectors"] is None,
            official_padding=True,
        )
        self.model = VslNet(self.options, DIMS).eval()
        load_official(self.model, {k: torch.from_numpy(v) for k, v in weights.items()}, SPEC.key_map)
        assert self.model.word_table is not None
        self.batch = even_batch(
            torch.from_numpy(inputs["video_features"]),
            torch.from_numpy(inputs["v_mask"]) > 0,
            self.model.word_table(torch.from_numpy(inputs["word_ids"])),
            torch.from_numpy(inputs["q_mask"]) > 0,
            duration=self.config["durations"],
            moments=[torch.tensor([moment]) for moment in self.config["gt_times"]],
            extra={"char_ids": torch.from_numpy(inputs["char_ids"])},
        )

    def alone(self, row: int, *, characters: int | None = None) -> Batch:
        """One sample without padding; its words as long as its longest one, or as `characters`."""
        batch = take_samples(self.batch, [row])
        char_ids = batch.extra["char_ids"][:, : batch.query.shape[1]]
        longest = max(4, int((char_ids > 0).sum(2).max()))
        return replace(batch, extra={"char_ids": char_ids[..., : characters or longest]})

    def without_official_padding(self) -> VslNet:
        model = VslNet(replace(self.options, official_padding=False), DIMS).eval()
        model.load_state_dict(self.model.state_dict())
        return model


@pytest.fixture(params=VARIANTS)
def golden(request: pytest.FixtureRequest, shared_dir: Path) -> Golden:
    return Golden(shared_dir / "goldens" / request.param)


def test_outputs_equal_the_official_ones(golden: Golden) -> None:
    outputs, real = golden.model(golden.batch), golden.batch.clip_mask

    assert _error(outputs.fused, golden.outputs["inter_cq_concat"]) < 1e-5
    assert _error(outputs.highlight.sigmoid() * real, golden.outputs["h_score"]) < 1e-5
    assert _error(outputs.start[real], golden.outputs["start_logits"][real.numpy()]) < 1e-5
    assert _error(outputs.end[real], golden.outputs["end_logits"][real.numpy()]) < 1e-5


def test_a_sample_alone_gets_the_official_outputs(golden: Golden) -> None:
    # The stored run kept the batch's longest word.
    outputs = golden.model(golden.alone(2, characters=7))

    assert _error(outputs.start, golden.outputs["solo_item2_start_logits"]) < 1e-5
    assert _error(outputs.end, golden.outputs["solo_item2_end_logits"]) < 1e-5
    assert _error(outputs.highlight.sigmoid(), golden.outputs["solo_item2_h_score"]) < 1e-5


def test_labels_equal_the_official_ones(golden: Golden) -> None:
    labels = boundary_labels(golden.batch, golden.options.margin)

    assert labels.start.argmax(1).tolist() == golden.losses["s_labels"].tolist()
    assert labels.end.argmax(1).tolist() == golden.losses["e_labels"].tolist()
    assert labels.inside.int().tolist() == golden.losses["h_labels"].tolist()


def test_weighted_losses_equal_the_official_ones(golden: Golden) -> None:
    terms = golden.model.loss(golden.model(golden.batch), golden.batch)

    weight = golden.config["configs"]["highlight_lambda"]
    assert float(terms["boundaries"].detach()) == pytest.approx(float(golden.losses["loc_loss"]), rel=1e-5)
    assert float(terms["highlight"].detach()) == pytest.approx(weight * golden.losses["highlight_loss"], rel=1e-5)


def test_gradients_equal_the_official_ones(golden: Golden) -> None:
    model, batch = golden.model, golden.batch

    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()

    # The table of words is trained through the query that it gave.
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert norm == pytest.approx(float(golden.losses["grad_global_norm"]), rel=1e-5)
    assert _error(model.attention.of_both.grad, golden.losses["grad_cq_w4mlu"]) < 1e-5
    assert _error(model.video_projection.conv.weight.grad, golden.losses["grad_video_affine"]) < 1e-5


def test_the_best_moment_equals_the_official_one(golden: Golden) -> None:
    moments = golden.model.predict(golden.model(golden.batch), golden.batch)

    assert moments.spans[:, 0, 0].tolist() == golden.outputs["start_index"].tolist()
    assert (moments.spans[:, 0, 1] - 1).tolist() == golden.outputs["end_index"].tolist()
    start, end = axis_to_seconds(moments.spans, golden.batch)[:, 0].unbind(-1)
    assert start.tolist() == pytest.approx(golden.outputs["start_time"].tolist(), rel=1e-5)
    assert end.tolist() == pytest.approx(golden.outputs["end_time"].tolist(), rel=1e-5)


def test_official_padding_changes_nothing_for_a_sample_alone(golden: Golden) -> None:
    plain = golden.without_official_padding()

    for row in range(3):
        official, ours = golden.model(golden.alone(row)), plain(golden.alone(row))
        assert torch.equal(ours.start, official.start)
        assert torch.equal(ours.highlight, official.highlight)


def test_without_official_padding_neighbours_change_nothing(golden: Golden) -> None:
    plain = golden.without_official_padding()

    together, alone = plain(golden.batch), plain(golden.alone(2))

    assert _error(together.start[2:, :9], alone.start.detach().numpy()) < 1e-5
    assert _error(together.end[2:, :9], alone.end.detach().numpy()) < 1e-5
    assert _error(golden.model(golden.batch).start[2:, :9], alone.start.detach().numpy()) > 1e-3


@pytest.mark.parametrize(("variant", "predictor"), [("vslnet", "recurrent"), ("vslnet_transformer", "transformer")])
def test_official_keys_map_completely_both_ways(variant: str, predictor: str, shared_dir: Path) -> None:
    listed = json.loads((shared_dir / "goldens" / variant / "official_full_state_dict_keys.json").read_text())
    assert SPEC.key_map is not None

    mapped = {SPEC.key_map(key): tuple(shape) for key, shape, _ in listed}

    assert mapped == {key: tuple(value.shape) for key, value in _published(predictor).state_dict().items()}
    assert len(mapped) == len(listed)


@pytest.mark.parametrize("predictor", PUBLISHED)
def test_size_equals_the_published_one(predictor: str) -> None:
    assert sum(p.numel() for p in _published(predictor).parameters()) == PUBLISHED[predictor][0]


@pytest.mark.parametrize("clips", [64, 128])
@pytest.mark.parametrize("predictor", PUBLISHED)
def test_multiply_adds_are_at_most_those_of_the_official_model(predictor: str, clips: int) -> None:
    """Down to 4% fewer: clips are summed up for the tokens before other clips read them."""
    batch = make_batch([clips], width=1024, index_width=0, text_width=300, query_lengths=[10])
    batch = replace(batch, extra={"char_ids": torch.ones(1, 10, 8, dtype=torch.long)}).to("meta")
    model = _published(predictor).requires_grad_(False)

    macs = count_macs(lambda: model.predict(model(batch), batch)).value

    official = PUBLISHED[predictor][1][clips]
    assert 0.96 * official < macs / 1e6 <= official


def test_characters_are_asked_for_where_they_are_missing() -> None:
    model, batch = VslNet(replace(SMALL, characters=True), Dims(video=16, text=12)), make_batch([9], query_lengths=[5])

    with pytest.raises(DataError, match=r"no characters; expected extra\['char_ids'\] of shape \[1, 5, characters\]"):
        model(batch)


def test_characters_of_another_query_are_refused() -> None:
    model, batch = VslNet(replace(SMALL, characters=True), Dims(video=16, text=12)), make_batch([9], query_lengths=[5])

    with pytest.raises(DataError, match=r"characters of shape \[1, 4, 6\] found"):
        model(replace(batch, extra={"char_ids": torch.ones(1, 4, 6, dtype=torch.long)}))


def test_characters_change_the_answer() -> None:
    torch.manual_seed(0)
    model = VslNet(replace(SMALL, characters=True), Dims(video=16, text=12)).eval()
    batch = make_batch([9], query_lengths=[5])
    spelt, spelt_otherwise = (replace(batch, extra={"char_ids": torch.full((1, 5, 3), char)}) for char in (2, 3))

    assert not torch.allclose(model(spelt).start, model(spelt_otherwise).start, atol=1e-4)


def test_a_video_longer_than_its_places_is_refused() -> None:
    model = VslNet(replace(SMALL, max_clips=8), Dims(video=16, text=12))

    with pytest.raises(DataError, match="9 rows, and its learned position knows 8"):
        model(make_batch([9]))


def test_every_candidate_to_distil_is_a_moment_on_real_clips() -> None:
    model, batch = VslNet(SMALL, Dims(video=16, text=12)).eval(), make_batch([3, 2])

    targets = model.distill_targets(model(batch), batch)

    assert targets.candidate_mask is not None
    # Of 3 clips 6 moments, of 2 clips 3; candidate i * 3 + j goes from clip i to clip j.
    assert targets.candidate_mask.sum(1).tolist() == [6, 3]
    assert targets.candidate_mask[1].nonzero()[:, 0].tolist() == [0, 1, 4]


@pytest.mark.slow
@pytest.mark.parametrize("predictor", ["recurrent", "transformer"])
def test_a_planted_signal_is_learned(predictor: str) -> None:
    torch.manual_seed(0)
    batch = _planted()
    model = VslNet(make_options(SPEC, "small", {"predictor": predictor}, "test"), Dims(video=16, text=16))
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


def _published(predictor: str) -> VslNet:
    """As the official one was counted: a vocabulary of 1000 words, an alphabet of 40 characters."""
    sizes = {"predictor": predictor, "vocabulary": 1000, "alphabet": 40}
    with torch.device("meta"):
        return VslNet(make_options(SPEC, "published_charades", sizes, "test"), Dims(video=1024, text=300)).eval()


def _error(found: Tensor | None, expected: Any) -> float:
    assert found is not None
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())
