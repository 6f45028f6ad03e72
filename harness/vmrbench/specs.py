"""What hooks return: frozen descriptions of plug-ins, cheap to make, with the published defaults as option classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from vmrbench.protocols import Split, VmrDataset


def _serves_any_ratio(options: Any) -> str | None:
    return None


def _keeps_one_share(options: Any) -> str | None:
    return "it has no scores that say how many clips a query needs"


@dataclass(frozen=True, kw_only=True)
class Dims:
    """Widths a backbone is built for: `video` of its clip rows, `text` of its query tokens."""

    video: int
    text: int


@dataclass(frozen=True, kw_only=True)
class TrimDims:
    """Widths a trimmer is built for.

    index: width of the index features; text: of query tokens; rows: of `ClipAccess.rows`; embedding: of
    `ClipAccess.preview`, None where the backbone shares no encoder; fine: of `ClipAccess.fetch`; index_groups: name of
    every group of the index and its width, in channel order.
    """

    index: int
    text: int
    rows: int
    embedding: int | None
    fine: int = 0
    index_groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A backbone plug-in.

    options: a frozen dataclass with the published defaults; presets: named option overrides;
    training: how presets were trained, keys of `TrainConfig`; a sweep asks for it by `train_as_preset`;
    key_map: official state-dict key -> ours, None where official weights are not supported;
    options_from_official: options that an official checkpoint was trained with -> ours; raises DataError for one that
    is not offered;
    extra_inputs: (options, samples, tokens) -> made-up values of what inference reads from `Batch.extra`, None where it
    reads nothing from there; for measurements on made-up input;
    axis: `clips` (reads rows as they are) or `grid` (pools rows to a fixed grid);
    capabilities: subset of {"encode", "distill"}; device_exceptions: reasons for leaving the device discipline;
    learns: `epochs`, `annotations` (in closed form, see `vmrbench.protocols.LearnsFromAnnotations`), or `nothing`;
    reads_features: False for a query-blind floor. It is given zeros for clips and query and no index, so that only
    times and durations are left, nothing is encoded for it, and it has one cell a data set and seed, untrimmed.
    """

    name: str
    summary: str
    source: str
    options: type
    build: Callable[[Any, Dims], nn.Module]
    revision: int = 1
    axis: Literal["clips", "grid"] = "clips"
    capabilities: frozenset[str] = frozenset()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    key_map: Callable[[str], str | None] | None = None
    options_from_official: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    extra_inputs: Callable[[Any, int, int], Mapping[str, Tensor]] | None = None
    device_exceptions: tuple[str, ...] = ()
    learns: Literal["epochs", "annotations", "nothing"] = "epochs"
    reads_features: bool = True


# How a decision is applied: the whole timeline stays, or rows of clips that were not kept are removed, or contiguous
# windows are read at a finer stride.
Apply = Literal["fill", "gather", "windows"]


@dataclass(frozen=True, kw_only=True)
class TrimmerSpec:
    """A trimmer plug-in.

    input: `fine` (the backbone sees expensive features only, no index), or `fill` (something stands in where a clip
    was not kept); needs_index: the selection reads index features, so they must exist and are charged for; train:
    `none`, or `joint` with the backbone; uses_teacher: its loss compares with the untrimmed teacher, so that it must
    run in training; reads_labels: an oracle; apply: how its decisions may be applied. Where there is a budget its
    option is called `keep_ratio`, and the module reads it from its attribute `options` in every `select` and `loss`,
    because training with `train_ratios` changes it there from batch to batch. tied_to_ratio: options -> why one model
    cannot serve other ratios than that of its training, None where it can; tied_to_share: options -> why every query
    gets the same share of clips, None where the module is `vmrbench.protocols.AdaptsBudget`. An option called
    `index_groups` names the groups of the index that the whole arm reads, None for all.
    """

    name: str
    summary: str
    source: str
    options: type
    build: Callable[[Any, TrimDims], nn.Module]
    revision: int = 1
    input: Literal["fine", "fill"] = "fill"
    needs_index: bool = True
    train: Literal["none", "joint"] = "none"
    uses_teacher: bool = True
    reads_labels: bool = False
    apply: tuple[Apply, ...] = ("fill", "gather", "windows")
    tied_to_ratio: Callable[[Any], str | None] = _serves_any_ratio
    tied_to_share: Callable[[Any], str | None] = _keeps_one_share
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set plug-in. build: options -> data set; relative paths in options are resolved before."""

    name: str
    summary: str
    source: str
    options: type
    build: Callable[[Any], VmrDataset]
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """What a feature encoder costs.

    role: clip, index or text; dim: feature width; clip_seconds: video time one pass sees (0 for text);
    macs_per_clip: multiply-adds of one pass; basis: how that number is known; source: where from.
    """

    name: str
    summary: str
    role: Literal["clip", "index", "text"]
    dim: int
    clip_seconds: float
    macs_per_clip: float
    basis: Literal["measured", "declared"]
    source: str
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric over stored predictions.

    compute: (predictions, truth) -> one value a query; both are `vmrbench.score.moments.MomentTable`s, in one order.
    """

    name: str
    summary: str
    unit: str
    higher_is_better: bool
    compute: Callable[..., Any]
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class ProbeSpec:
    """Changed inputs that show what a trained arm relies on: it predicts the reported split once more, so changed.

    change: (options, split, seed) -> the changed split: as many samples, in the same order, with the same annotations.
    The seed is the cell's.
    """

    name: str
    summary: str
    source: str
    options: type
    change: Callable[[Any, Split, int], Split]
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class ReporterSpec:
    """Writes a report: write(summary, path) -> paths written; summary: `vmrbench.report.summary.SweepSummary`."""

    name: str
    summary: str
    options: type
    write: Callable[..., Any]
    revision: int = 1


@dataclass(frozen=True, kw_only=True)
class LauncherSpec:
    """Runs jobs: launch(jobs, options) runs every job and never stops at a failed one."""

    name: str
    summary: str
    options: type
    launch: Callable[..., Any]
    revision: int = 1
