"""What one query costs in multiply-adds, stage by stage, alone and shared among the queries of its video.

cold(query)      = text + L * index + trim + K * encode + backbone
amortised(query) = text + L / q * index + trim + U / q * encode + backbone

L clips, K kept clips, q queries on the video, U clips kept by at least one of them. The mean of the second over all
queries is what a system pays that encodes a clip once and remembers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.specs import EncoderSpec

Basis = Literal["counted", "declared", "measured", "not_macs", "unknown"]
Floats = NDArray[np.float64]

STAGES = ("text", "decode", "index", "trim", "encode", "backbone", "post")
NO_DECODE = "decoding has no multiply-adds; sparse selection still decodes whole groups of pictures"
NO_POST = "clamping and sorting have no multiply-adds"


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Multiply-adds of a stage.

    value: None where they do not apply (basis `not_macs`) or are not known (`unknown`), then `reason` says why;
    basis: `counted` on the running code, `declared` by a source, or `measured` by an encoder plug-in.
    """

    value: float | None
    basis: Basis
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """Multiply-adds of encoding one query (text), and one clip cheaply (index) and expensively (encode)."""

    text: StageCost
    index: StageCost
    encode: StageCost


@dataclass(frozen=True, kw_only=True)
class QueryUse:
    """What one query used.

    keep: [L] boolean, clips that got expensive features, over all clips of the video; trim_macs: selection head and
    the passes of a shared encoder; backbone_macs: at the rows the backbone really saw; finer: [F] boolean, the same of
    the finer clips of the video, each of which costs a pass of the encoder too; empty where none are read.
    """

    video_id: str
    keep: NDArray[np.bool_]
    trim_macs: float
    backbone_macs: float
    finer: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    @property
    def encoded(self) -> NDArray[np.bool_]:
        """[L + F] everything that may be encoded, true where it was."""
        return np.concatenate([self.keep, self.finer])


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """Mean multiply-adds a query by stage, cold and amortised, and their totals.

    cold_per_query, amortised_per_query: [n] totals in the order of the queries, None where a stage is unknown;
    clips, kept_clips: means a query; union_ratio: clips kept by any query, finer ones too, over all clips, by video.
    """

    cold: Mapping[str, StageCost]
    amortised: Mapping[str, StageCost]
    cold_total: StageCost
    amortised_total: StageCost
    cold_per_query: Floats | None
    amortised_per_query: Floats | None
    queries: int
    videos: int
    clips: float
    kept_clips: float
    union_ratio: float


def unit_costs(facts: DatasetFacts, encoders: Mapping[str, EncoderSpec], *, reads_index: bool) -> UnitCosts:
    """Unit costs of a data set's features; an arm that reads no index is not charged for it.

    Features of several encoders side by side (`a+b`) cost their sum. An encoder that no plug-in describes makes its
    stage unknown, with the reason, never free.
    """
    index = StageCost(value=0.0, basis="counted", reason="this arm reads no index features")
    if reads_index:
        index = _sum_of(facts.index.values(), encoders)
    return UnitCosts(text=_sum_of([facts.text], encoders), index=index, encode=_sum_of([facts.clips], encoders))


def no_features() -> UnitCosts:
    """Unit costs of an arm that is shown no features at all: nothing is encoded for it, which is a count of 0."""
    nothing = StageCost(value=0.0, basis="counted", reason="this arm reads no features")
    return UnitCosts(text=nothing, index=nothing, encode=nothing)


def encoder_names(group: FeatureFacts) -> list[str]:
    """The encoders of a feature group: `slowfast+clip_b32` stands for features of two encoders side by side."""
    return group.encoder.split("+")


def cost_stages(uses: Sequence[QueryUse], units: UnitCosts) -> StageReport:
    """Charge every query for what it used.

    Args:
        uses: one entry a query, at least one; the queries of a video agree on its number of clips.
        units: from `unit_costs`.

    Raises:
        ValueError: no queries, or two queries of one video with different numbers of clips.

    Source:
        The cold and amortised cost of query-aware selection, as the module says.
    """
    if not uses:
        raise ValueError("no queries to charge")
    unions, counts = _videos(uses)
    clips = np.array([len(use.keep) for use in uses], dtype=np.float64)
    kept = np.array([use.encoded.sum() for use in uses], dtype=np.float64)
    sharing = np.array([counts[use.video_id] for use in uses], dtype=np.float64)
    union = np.array([unions[use.video_id].sum() for use in uses], dtype=np.float64)
    cold = _by_stage(uses, units, clips, kept)
    amortised = _by_stage(uses, units, clips / sharing, union / sharing)
    cold_per_query, amortised_per_query = _totals(cold, len(uses)), _totals(amortised, len(uses))
    return StageReport(
        cold={name: _mean(*stage) for name, stage in cold.items()},
        amortised={name: _mean(*stage) for name, stage in amortised.items()},
        cold_total=_total(cold, cold_per_query),
        amortised_total=_total(amortised, amortised_per_query),
        cold_per_query=cold_per_query,
        amortised_per_query=amortised_per_query,
        queries=len(uses),
        videos=len(unions),
        clips=float(clips.mean()),
        kept_clips=float(kept.mean()),
        union_ratio=float(
            sum(u.sum() for u in unions.values()) / sum({u.video_id: len(u.keep) for u in uses}.values())
        ),
    )


Stage = tuple[StageCost, Floats | None]


def _by_stage(uses: Sequence[QueryUse], units: UnitCosts, indexed: Floats, encoded: Floats) -> dict[str, Stage]:
    """Each stage with its unit or basis, and multiply-adds of every query ([n], None where not a number)."""
    counted = StageCost(value=None, basis="counted")
    found: dict[str, Stage] = {
        "text": (units.text, _times(units.text, np.ones(len(uses)))),
        "decode": (StageCost(value=None, basis="not_macs", reason=NO_DECODE), None),
        "index": (units.index, _times(units.index, indexed)),
        "trim": (counted, np.array([use.trim_macs for use in uses], dtype=np.float64)),
        "encode": (units.encode, _times(units.encode, encoded)),
        "backbone": (counted, np.array([use.backbone_macs for use in uses], dtype=np.float64)),
        "post": (StageCost(value=None, basis="not_macs", reason=NO_POST), None),
    }
    return {name: found[name] for name in STAGES}


def _times(unit: StageCost, amount: Floats) -> Floats | None:
    return None if unit.value is None else unit.value * amount


def _mean(unit: StageCost, values: Floats | None) -> StageCost:
    return StageCost(value=None if values is None else float(values.mean()), basis=unit.basis, reason=unit.reason)


def _totals(stages: Mapping[str, Stage], queries: int) -> Floats | None:
    if any(unit.basis == "unknown" for unit, _ in stages.values()):
        return None
    return sum((values for _, values in stages.values() if values is not None), start=np.zeros(queries))


def _total(stages: Mapping[str, Stage], per_query: Floats | None) -> StageCost:
    if per_query is None:
        unknown = [f"{name}: {unit.reason}" for name, (unit, _) in stages.items() if unit.basis == "unknown"]
        return StageCost(value=None, basis="unknown", reason="; ".join(unknown))
    declared = [name for name, (unit, _) in stages.items() if unit.basis == "declared"]
    reason = f"declared, not counted: {', '.join(declared)}" if declared else None
    return StageCost(value=float(per_query.mean()), basis="declared" if declared else "counted", reason=reason)


def _videos(uses: Iterable[QueryUse]) -> tuple[dict[str, NDArray[np.bool_]], dict[str, int]]:
    """For each video: clips kept by any of its queries, and how many queries it has."""
    unions: dict[str, NDArray[np.bool_]] = {}
    counts: dict[str, int] = {}
    for use in uses:
        encoded = use.encoded
        known = unions.get(use.video_id, encoded)
        if known.shape != encoded.shape:
            raise ValueError(
                f"video {use.video_id!r} has {len(known)} clips for one query and {len(encoded)} for another"
            )
        unions[use.video_id] = known | encoded
        counts[use.video_id] = counts.get(use.video_id, 0) + 1
    return unions, counts


def _sum_of(groups: Iterable[FeatureFacts], encoders: Mapping[str, EncoderSpec]) -> StageCost:
    total, bases = 0.0, set[str]()
    for group in groups:
        for name in encoder_names(group):
            spec = encoders.get(name)
            if spec is None:
                return StageCost(value=None, basis="unknown", reason=f"no encoder is named {name!r}")
            total += spec.macs_per_clip * group.passes_per_clip
            bases.add(spec.basis)
    return StageCost(value=total, basis="measured" if bases == {"measured"} else "declared")
