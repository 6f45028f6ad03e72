"""SnAG against the official model (stored inputs, outputs, losses, gradients, predictions), and its own promises."""

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
from vmrbench.errors import ConfigError
from vmrbench.models import load_official
from vmrbench.parts.point_losses import point_targets
from vmrbench.parts.suppression import Suppression, suppress
from vmrbench.specs import Dims
from vmrbench.testing.batch_edits import take_samples
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import Batch
from vmrbench_plugins.snag import SPEC, Outputs, Snag, SnagOptions

# Name in the list of keys; clips, their width, tokens, their width; parameters and multiply-adds of the official model.
PUBLISHED = {
    "published_charades": ("charades_sta_i3d", (256, 2048, 10, 300), 9_883_785, 1_987_661_511),
    "published_tacos": ("tacos", (2304, 4096, 10, 300), 11_202_187, 17_335_478_013),
    "published_activitynet": ("anet_1.3", (256, 500, 12, 300), 3_228_042, 449_673_308),
    "published_ego4d": ("ego4d_egovlp", (2304, 256, 12, 768), 24_404_747, 33_803_639_901),
}
SMALL = make_options(SPEC, "small", {}, "test")
DIMS = Dims(video=16, text=12)


class Golden:
    """One stored variant: its arrays, our model with its weights, and its batch of six queries of three videos."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.outputs, self.losses, self.predictions, self.inputs = (
            dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses", "predict", "inputs")
        )
        weights = np.load(folder / "weights.npz")
        clips, words = (torch.from_numpy(self.inputs[name]) for name in ("vid", "text"))
        self.model = Snag(_options(self.config["opt"]), Dims(video=clips.shape[1], text=words.shape[2])).eval()
        load_official(self.model, {k: torch.from_numpy(v) for k, v in weights.items()}, SPEC.key_map)
        self.queries = [(v, q) for v, count in enumerate(self.inputs["text_size"]) for q in range(count)]
        videos = [video for video, _ in self.queries]
        clip_mask = torch.from_numpy(self.inputs["vid_masks"])[videos]
        self.batch = self._timed(
            even_batch(
                clips.transpose(1, 2)[videos],
                clip_mask,
                torch.stack([words[v, q].T for v, q in self.queries]),
                torch.stack([torch.from_numpy(self.inputs["text_masks"])[v, q] for v, q in self.queries]),
                duration=[1.0] * len(videos),
            )
        )
        # Official targets are in clips, counted from the middle of the first.
        spans = torch.from_numpy(self.losses["targets"])[:, None] + 0.5
        self.batch = replace(self.batch, moments=tuple(axis_to_seconds(spans, self.batch)))

    def long_batch(self, query: int) -> Batch:
        """A video of more clips than positions know, alone and unpadded."""
        clips = torch.from_numpy(self.inputs["long_vid"]).T[None]
        one = take_samples(self.batch, [query])
        mask = torch.ones(clips.shape[:2], dtype=torch.bool)
        return self._timed(even_batch(clips, mask, one.query, one.query_mask, duration=[1.0]))

    def agrees(self, batch: Batch, row: int, name: str) -> bool:
        """Whether the predictions of a row are the stored ones, in the same order."""
        moments = self.model.predict(self.model(batch), batch)
        seconds, scores = axis_to_seconds(moments.spans, batch)[row], moments.scores[row]
        official = torch.from_numpy(self.predictions[f"{name}.segments"])
        # Ours end where rows do, half a stride around the first and the last clip's middle.
        inside = official.clamp(batch.clip_start[row, 0], batch.clip_end[row].amax())
        return bool(
            (seconds - inside).abs().max() < 1e-5
            and (scores - torch.from_numpy(self.predictions[f"{name}.scores"])).abs().max() < 1e-5
        )

    def _timed(self, batch: Batch) -> Batch:
        """Clips of `clip_size` frames every `clip_stride`: a row is the stride around the clip's middle."""
        meta = self.config["predict_meta"]
        stride, middle = meta["clip_stride"] / meta["fps"], meta["clip_size"] / meta["fps"] / 2
        start = (torch.arange(batch.clips.shape[1]) - 0.5) * stride + middle
        mask = batch.clip_mask
        return replace(
            batch, clip_start=start * mask, clip_end=(start + stride) * mask, duration=((start + stride) * mask).amax(1)
        )


@pytest.fixture(params=["snag", "snag_adaln"], scope="module")
def golden(request: pytest.FixtureRequest, shared_dir: Path) -> Golden:
    return Golden(shared_dir / "goldens" / request.param)


def test_outputs_equal_the_official_ones_at_every_level(golden: Golden) -> None:
    outputs = golden.model(golden.batch)

    for level, (logits, offsets, mask) in enumerate(_by_level(outputs)):
        official = golden.outputs[f"masks.{level}"]
        assert np.array_equal(mask.numpy(), official)
        assert _error(logits * mask, golden.outputs[f"logits.{level}"] * official) < 1e-5
        assert _error(offsets * mask[..., None], golden.outputs[f"offsets.{level}"] * official[..., None]) < 1e-5


def test_encoded_video_and_query_equal_the_official_ones(golden: Golden) -> None:
    video = golden.model.encode_video(golden.batch)
    tokens, token_mask = golden.model.text_encoder(golden.batch.query, golden.batch.query_mask)

    first_rows = [0, 2, 3]  # The first query of each video.
    for level, rows in enumerate(video.rows.split(video.points.sizes, 1)):
        mask = golden.outputs[f"masks.{level}"][first_rows]
        official = golden.outputs[f"fpn.{level}"].transpose(0, 2, 1) * mask[..., None]
        assert _error(rows[first_rows] * torch.from_numpy(mask)[..., None], official) < 1e-5
    mask = golden.outputs["text_enc_mask"].transpose(0, 2, 1)
    assert np.array_equal(token_mask.numpy(), mask[..., 0])
    assert _error(tokens * token_mask[..., None], golden.outputs["text_enc"].transpose(0, 2, 1) * mask) < 1e-5


def test_points_and_their_labels_equal_the_official_ones(golden: Golden) -> None:
    points = golden.model.encode_video(golden.batch).points
    official = golden.losses["points"]
    everywhere = torch.ones(6, len(points.place), dtype=torch.bool)

    moments = list(torch.from_numpy(golden.losses["targets"])[:, None] + 0.5)
    answers, wanted = point_targets(points, everywhere, moments, 1.5)

    assert np.array_equal(points.place - 0.5, official[:, 0])
    assert np.array_equal(points.stride, official[:, 3])
    assert np.array_equal(points.shortest, official[:, 1])
    # The official limit of the coarsest level is longer than any video it was trained on; ours is infinite.
    assert np.array_equal(points.longest[:-8], official[:-8, 2])
    assert np.array_equal(answers, golden.losses["gt_labels"])
    reach = torch.stack([points.place - wanted[..., 0], wanted[..., 1] - points.place], dim=-1) / points.stride[:, None]
    assert _error(reach[answers], golden.losses["gt_offsets"][answers]) < 1e-6


def test_losses_equal_the_official_ones(golden: Golden) -> None:
    terms = golden.model.loss(golden.model(golden.batch), golden.batch)

    official = {"label": float(golden.losses["cls"]), "span": float(golden.losses["reg"])}
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(official, rel=1e-5)


def test_gradients_equal_the_official_ones(golden: Golden) -> None:
    model, batch = golden.model, golden.batch
    model.zero_grad(set_to_none=True)

    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()

    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert norm == pytest.approx(float(golden.losses["grad_global_norm"]), rel=1e-5)
    assert _error(model.heads.label.last.conv.weight.grad, golden.losses["grad_cls_head"]) < 1e-5


def test_predictions_equal_the_official_ones_in_the_same_order(golden: Golden) -> None:
    for row, (video, query) in enumerate(golden.queries):
        assert golden.agrees(golden.batch, row, f"full.{video}.{query}")


def test_predictions_of_a_video_alone_and_unpadded_equal_the_official_padded_ones(golden: Golden) -> None:
    for row, (video, query) in enumerate(golden.queries):
        assert golden.agrees(take_samples(golden.batch, [row]), 0, f"full.{video}.{query}")


def test_predictions_of_a_video_longer_than_its_positions_equal_the_official_ones(golden: Golden) -> None:
    for query in (0, 1):
        assert golden.agrees(golden.long_batch(query), 0, f"long.{query}")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("nms_nms", Suppression(mode="hard", moments=10, max_iou=0.3, voting=0.75)),
        ("nms_soft_nms", Suppression(moments=10)),
    ],
)
def test_suppression_equals_the_official_one(golden: Golden, name: str, how: Suppression) -> None:
    given = (torch.from_numpy(golden.predictions[f"nms_in.{what}"])[None] for what in ("segs", "scores"))

    spans, scores = suppress(*given, how)

    assert _error(spans[0], golden.predictions[f"{name}.segs"]) < 1e-6
    assert _error(scores[0], golden.predictions[f"{name}.scores"]) < 1e-6


@pytest.mark.parametrize("preset", PUBLISHED)
def test_official_keys_map_completely_both_ways(preset: str, shared_dir: Path) -> None:
    path = shared_dir / "goldens" / "snag" / f"official_full_state_dict_keys_{PUBLISHED[preset][0]}.json"
    listed = json.loads(path.read_text())
    assert SPEC.key_map is not None

    mapped = {SPEC.key_map(key): tuple(shape) for key, shape, _ in listed}

    assert mapped == {key: tuple(value.shape) for key, value in _published(preset).state_dict().items()}
    assert len(mapped) == len(listed)


@pytest.mark.parametrize("preset", PUBLISHED)
def test_size_equals_the_published_one(preset: str) -> None:
    assert sum(p.numel() for p in _published(preset).parameters()) == PUBLISHED[preset][2]


@pytest.mark.parametrize("preset", PUBLISHED)
def test_multiply_adds_are_at_most_those_of_the_official_model(preset: str) -> None:
    """Up to 1.2 % fewer: the query is projected once for all levels, and windows are cut in narrower blocks."""
    model, batch = _published(preset), _published_batch(preset)

    macs = count_macs(model, batch).value

    assert 0.98 * PUBLISHED[preset][3] < macs <= PUBLISHED[preset][3]


def test_a_video_is_encoded_once_for_all_its_queries() -> None:
    model, batch = _fresh(), make_batch([20] * 3, query_lengths=[5, 3, 1])
    same = replace(batch, clips=batch.clips[:1].expand(3, -1, -1))
    video = model.encode_video(take_samples(same, [0]))

    answered = model.answer(video, same)

    assert _error(answered.logits, model(same).logits.detach().numpy()) < 1e-5
    assert torch.equal(answered.point_mask, model(same).point_mask)


def test_encoding_a_video_reads_no_query() -> None:
    model, batch = _fresh(), make_batch([20, 9])

    other = model.encode_video(replace(batch, query=batch.query[:, :0], query_mask=batch.query_mask[:, :0]))

    assert torch.equal(other.rows, model.encode_video(batch).rows)


def test_answering_a_query_is_the_smaller_part_where_videos_are_long_and_queries_many() -> None:
    model, batch = _published("published_tacos"), _published_batch("published_tacos")

    video = count_macs(model.encode_video, batch).value

    assert 0.3 < video / count_macs(model, batch).value < 0.5


def test_encoded_clips_are_those_of_the_finest_level() -> None:
    model, batch = _fresh(), make_batch([20, 9])

    encoded = model.encode(batch, model.encode_query(batch))

    assert encoded.shape == (2, 20, model.embedding_width)
    assert _error(encoded, model(batch).clips.detach().numpy()) < 1e-5


def test_a_point_that_is_no_number_holds_no_clip() -> None:
    model, batch = _fresh(), make_batch([8])
    outputs = model(batch)

    broken = replace(outputs, offsets=torch.full_like(outputs.offsets, math.nan))

    assert torch.equal(model.distill_targets(broken, batch).saliency, outputs.logits[:, :8])


def test_a_clip_is_as_salient_as_the_best_point_whose_moment_holds_it() -> None:
    model, batch = _fresh(), make_batch([8])
    outputs = model(batch)
    logits = torch.full_like(outputs.logits, -3.0)
    # One point of the second level, at clip 4, that reaches one stride of two clips either way: 2.5 to 6.5.
    logits[0, 8 + 2] = 2.0
    offsets = torch.ones_like(outputs.offsets)

    saliency = model.distill_targets(replace(outputs, logits=logits, offsets=offsets), batch).saliency

    assert saliency is not None
    assert saliency[0].tolist() == [-3.0, -3.0, 2.0, 2.0, 2.0, 2.0, 2.0, -3.0]


def test_a_point_of_two_moments_takes_the_shorter() -> None:
    points = _fresh().encode_video(make_batch([32])).points
    moments = torch.tensor([[2.0, 14.0], [7.0, 11.0]])

    answers, wanted = point_targets(points, torch.ones(1, len(points.place), dtype=torch.bool), [moments], 1.5)

    taken = {tuple(span) for span in wanted[answers].tolist()}
    assert taken == {(2.0, 14.0), (7.0, 11.0)}
    assert wanted[0, 8].tolist() == [7.0, 11.0]


def test_losses_are_means_over_points_that_answer() -> None:
    model, batch = _fresh(), make_batch([16, 16])
    twice = take_samples(batch, [0, 0])

    once, both = ({k: float(v.detach()) for k, v in model.loss(model(b), b).items()} for b in (_first(batch), twice))

    assert both == pytest.approx(once, rel=1e-5)


@pytest.mark.parametrize("mode", ["soft", "hard", "none"])
def test_the_best_moments_come_first_and_their_number_is_fixed(mode: str) -> None:
    options = make_options(SPEC, "small", {"suppression": {"mode": mode, "moments": 40}}, "test")
    torch.manual_seed(0)
    model, batch = Snag(options, DIMS).eval(), make_batch([30, 2])

    scores = model.predict(model(batch), batch).scores

    assert scores.shape == (2, 40)
    assert torch.equal(scores, scores.sort(1, descending=True).values)
    # Two clips make at most 2 + 1 + 1 + 1 points.
    assert int(scores[1].isfinite().sum()) <= 5


@pytest.mark.parametrize("window", [4, 1])
def test_a_window_without_a_middle_is_refused(window: int) -> None:
    with pytest.raises(ConfigError, match=f"window {window}"):
        SnagOptions(window=window)


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)
    batch = _planted()
    model = Snag(SMALL, Dims(video=16, text=16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []

    for _ in range(40):
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


def _options(opt: dict[str, Any]) -> SnagOptions:
    model, points, train = opt["model"], opt["pt_gen"], opt["train"]
    convs, stem, levels = model["vid_net"]["arch"]
    return SnagOptions(
        hidden=model["vid_net"]["embd_dim"],
        text_hidden=model["text_net"]["embd_dim"],
        heads=model["vid_net"]["n_heads"],
        convs=convs,
        stem=stem,
        levels=levels,
        window=model["mha_win_size"],
        places=model["max_vid_len"],
        text_layers=model["text_net"]["n_layers"],
        fusion_layers=model["fusion"]["n_layers"],
        modulation=model["fusion"]["xattn_mode"],
        head_layers=model["cls_head"]["n_layers"],
        level_reach=points["regression_range"],
        level_overlap=points["sigma"],
        radius=train["center_sampling_radius"],
        loss_norm=train["loss_norm"],
    )


def _published(preset: str) -> Snag:
    _, width, _, text_width = PUBLISHED[preset][1]
    with torch.device("meta"):
        return Snag(make_options(SPEC, preset, {}, preset), Dims(video=width, text=text_width)).eval()


def _published_batch(preset: str) -> Batch:
    clips, width, tokens, text_width = PUBLISHED[preset][1]
    return make_batch([clips], width=width, index_width=0, text_width=text_width, query_lengths=[tokens]).to("meta")


def _fresh() -> Snag:
    torch.manual_seed(0)
    return Snag(SMALL, DIMS).eval()


def _first(batch: Batch) -> Batch:
    return take_samples(batch, [0])


def _by_level(outputs: Outputs) -> list[tuple[Tensor, Tensor, Tensor]]:
    parts = [value.split(outputs.points.sizes, 1) for value in (outputs.logits, outputs.offsets, outputs.point_mask)]
    return list(zip(*parts, strict=True))


def _error(found: Tensor | None, expected: Any) -> float:
    assert found is not None
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())
