"""Cost of an arm: multiply-adds at every real length, peak memory, and latency of arms side by side."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import product

import pandas as pd
import torch
from torch import nn

from vmrbench.cost.cross_check import cross_check
from vmrbench.cost.known_calls import KnownCalls
from vmrbench.cost.latency import Latency, measure_latency
from vmrbench.cost.macs import count_macs
from vmrbench.data.collate import collate
from vmrbench.engine.arm import Arm
from vmrbench.engine.compiling import compiled
from vmrbench.engine.device import autocast
from vmrbench.engine.predict import predictions_of
from vmrbench.postprocess import to_predictions
from vmrbench.protocols import Split
from vmrbench.types import Batch, FinerClips, TrimDecision

Shape = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ShapeMacs:
    """Multiply-adds of one query of `clips` clips and `tokens` words, by stage."""

    clips: int
    tokens: int
    trim: int
    backbone: int


@dataclass(frozen=True, kw_only=True)
class ArmMacs:
    """Multiply-adds of an arm at every shape of a split.

    fvcore_ratio: fvcore's count over torch's at the median shape, None where torch counts nothing;
    uncounted: operators without a formula, with how often they ran in one query of the median shape.
    """

    shapes: tuple[ShapeMacs, ...]
    fvcore_ratio: float | None
    uncounted: Mapping[str, int]


def count_backbone(arm: Arm, split: Split, most_shapes: int | None = None) -> dict[Shape, int]:
    """Multiply-adds of fill, backbone and decoding at every distinct (clips, words) of a split.

    Every row stays whatever was kept, so the arms of one backbone and fill share these numbers. Counted on the meta
    device, which computes nothing.

    Args:
        arm: any arm of that backbone and fill.
        split: whose shapes count; `most_shapes` of them, evenly spread, where that is not None.
    """
    return count_shapes(arm, split, _chosen(_shapes(split), most_shapes))


def count_shapes(arm: Arm, split: Split, shapes: Sequence[Shape]) -> dict[Shape, int]:
    """Multiply-adds of fill, backbone and decoding at these (rows, words); see `count_backbone`."""
    meta, known = _on_meta(arm), KnownCalls()
    return {shape: _count_finish(meta, _like(split, *shape).to("meta"), known) for shape in shapes}


def seen_shapes(queries: pd.DataFrame, most_shapes: int | None) -> list[Shape]:
    """The distinct (rows, words) of all passes of a backbone, in a table of predicted queries."""
    pairs = zip(queries["passes"], queries["query_tokens"], strict=True)
    return _chosen({(int(rows), int(words)) for passes, words in pairs for rows in passes}, most_shapes)


def count_query(arm: Arm, batch: Batch, known: KnownCalls | None = None) -> ShapeMacs:
    """Multiply-adds of one query, a batch of one sample without padding; arm and batch may be on the meta device."""
    shared = known or KnownCalls()
    return ShapeMacs(
        clips=batch.clips.shape[1],
        tokens=batch.query.shape[1],
        trim=_count_select(arm, batch, shared),
        backbone=_count_finish(arm, batch, shared),
    )


def count_arm(arm: Arm, split: Split, backbone: Mapping[Shape, int]) -> ArmMacs:
    """Count the selection of an arm at the shapes of `backbone`, from `count_backbone`; fvcore checks the median."""
    meta, shapes, known = _on_meta(arm), sorted(backbone), KnownCalls()
    counted = [
        ShapeMacs(
            clips=clips,
            tokens=tokens,
            trim=_count_select(meta, _like(split, clips, tokens).to("meta"), known),
            backbone=backbone[clips, tokens],
        )
        for clips, tokens in shapes
    ]
    real = _like(split, *shapes[len(shapes) // 2], finer=arm.finer)
    plain = deepcopy(arm).eval().requires_grad_(False).to(real.clips.device)
    check = cross_check(_Forward(plain), real)
    return ArmMacs(
        shapes=tuple(counted), fvcore_ratio=check.ratio, uncounted=dict(count_macs(_Forward(plain), real).uncounted)
    )


class _Forward(nn.Module):
    """An arm whose result is the tensors that a user pays for: decoded moments."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.arm = arm

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self.arm.moments(self.arm(batch))


def _shapes(split: Split) -> set[Shape]:
    samples = (split[position] for position in range(len(split)))
    return {(len(sample.clips), len(sample.query)) for sample in samples}


def _chosen(found: set[Shape], most: int | None) -> list[Shape]:
    shapes = sorted(found)
    if most is None or len(shapes) <= most:
        return shapes
    return [shapes[place * (len(shapes) - 1) // max(1, most - 1)] for place in range(most)]


def _like(split: Split, clips: int, tokens: int, *, finer: int | None = None) -> Batch:
    """A batch of one made-up sample of that shape, with the widths of the split, and `finer` rows a clip."""
    first = split[0]
    rows = clips * (finer or 0)
    start = torch.arange(rows, dtype=torch.float32)[None] / (finer or 1)
    cut = FinerClips(
        clips=torch.zeros(1, rows, first.clips.shape[1]),
        mask=torch.ones(1, rows, dtype=torch.bool),
        clip_start=start,
        clip_end=start + 1 / (finer or 1),
    )
    return Batch(
        sample_ids=("shape",),
        video_ids=("shape",),
        clips=torch.zeros(1, clips, first.clips.shape[1]),
        clip_mask=torch.ones(1, clips, dtype=torch.bool),
        clip_start=torch.arange(clips, dtype=torch.float32)[None],
        clip_end=torch.arange(1, clips + 1, dtype=torch.float32)[None],
        index=None if first.index is None else torch.zeros(1, clips, first.index.shape[1]),
        fine_weight=torch.ones(1, clips),
        query=torch.zeros(1, tokens, first.query.shape[1]),
        query_mask=torch.ones(1, tokens, dtype=torch.bool),
        duration=torch.full((1,), float(clips)),
        moments=(torch.tensor([[0.0, 1.0]]),),
        finer=None if finer is None else cut,
    )


def _on_meta(arm: Arm) -> Arm:
    return deepcopy(arm).eval().requires_grad_(False).to("meta")


def _count_select(arm: Arm, batch: Batch, known: KnownCalls) -> int:
    return count_macs(lambda: arm.select(batch, arm.access(batch)), known=known).value


def _count_finish(arm: Arm, batch: Batch, known: KnownCalls) -> int:
    everything = TrimDecision(keep=batch.clip_mask)
    return count_macs(lambda: arm.moments(arm.finish(batch, arm.access(batch), everything)), known=known).value


def measure_arms(
    arms: Mapping[str, Arm],
    splits: Mapping[str, Split],
    *,
    samples: int,
    rounds: int,
    device: torch.device,
    precision: str,
    compile_first: bool = False,
) -> dict[str, Latency]:
    """Latency of one query at a time, arms taking turns: selection, backbone and post-processing, features at hand.

    Args:
        arms: name to trained arm.
        splits: by arm, the same queries in each; `samples` of them are used, evenly spread, at their real lengths.
        samples, rounds: how many queries, how often each.
        device, precision: where and how.
        compile_first: compile the backbones, and run every query once before the clock starts.
    """
    length = min(len(split) for split in splits.values())
    places = torch.linspace(0, length - 1, min(samples, length)).round().long().tolist()
    calls = {}
    for name, arm in arms.items():
        batches = {place: collate([splits[name][place]]).to(device) for place in places}
        calls[name] = query_call(arm.eval().to(device), batches, precision)
    with compiled(list(arms.values())) if compile_first else nullcontext():
        if compile_first:
            for call, place in product(calls.values(), places):
                call(place)
        return measure_latency(calls, places, rounds=rounds, device=device)


def query_call(arm: Arm, batches: Mapping[int, Batch], precision: str) -> Callable[[int], Mapping[str, float]]:
    """A call that predicts one of `batches` by its place and returns milliseconds of `trim`, `backbone` and `post`."""

    def run(place: int) -> Mapping[str, float]:
        marks = [time.perf_counter()]
        batch = batches[place]
        with torch.inference_mode(), autocast(batch.clips.device, precision):
            access = arm.access(batch)
            decision = arm.select(batch, access)
            marks.append(time.perf_counter())
            seconds, scores = arm.moments(arm.finish(batch, access, decision))
            marks.append(time.perf_counter())
            to_predictions(seconds.float(), scores.float(), batch)
            marks.append(time.perf_counter())
        names = ("trim", "backbone", "post")
        return {name: (after - before) * 1e3 for name, before, after in zip(names, marks, marks[1:], strict=False)}

    return run


def longest(split: Split) -> int:
    """Position of the query whose video has most clips."""
    counts: Counter[int] = Counter({place: len(split[place].clips) for place in range(len(split))})
    return counts.most_common(1)[0][0]


def run_once(arm: Arm, batch: Batch, device: torch.device, precision: str) -> None:
    """Predict one batch: what the memory probe runs."""
    predictions_of(arm.eval().to(device), batch.to(device), precision)
