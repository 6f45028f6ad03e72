"""The sweep summary: the one JSON object every table and figure is made from, small enough to be committed.

Scores are in the unit of their metric (percent for the protocol's own), MACs in multiply-adds a query, memory in
bytes, ratios 0..1. A number that could not be measured is None beside its reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vmrbench.errors import DataError
from vmrbench.report.arm_numbers import (
    UNRECORDED,
    Adaptive,
    Estimate,
    Latency,
    OodScores,
    ProbeScores,
    Quantity,
    Selection,
)
from vmrbench.score.floors import Floors

# 2: what was kept and lost of each arm (`Row.selection`). A summary of format 1 is read as one that lacks it.
FORMAT = 2
READABLE = (1, FORMAT)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One (data set, backbone, trimmer), aggregated over its seeds.

    dataset, backbone, trimmer: ids of the sweep; reads_labels: a ceiling, no method; status: `VALID` or `INVALID` with
    `reasons`; reference: id of the trimmer that `differences` are against, None where it did not run; rivals: by
    trimmer, the difference of the headline metric to the arms before this one that had the same budget; macs_cold,
    macs_amortised: by stage; uncounted_operators: operators no counter knows, by how often they ran;
    plan: `query`, or how one set of clips was chosen for all queries of a video; train_ratios: the keep ratios that
    training drew from, empty where it kept to that of `options`; adaptive: None where the budget is exact;
    validation: percent, of the epoch that was kept;
    wall_seconds: by stage (`base`, `train`, `predict`, `cost`), on whatever machine made it;
    query_blind: a floor, which reads neither video nor query; floors: by id of a query-blind backbone, the differences
    to it, by metric; probes: by id.
    """

    dataset: str
    backbone: str
    backbone_name: str
    trimmer: str
    trimmer_name: str
    preset: str | None
    fill: str | None
    options: Mapping[str, Any]
    seeds: tuple[int, ...]
    run_ids: tuple[str, ...]
    reads_labels: bool
    status: str
    reasons: tuple[str, ...]
    stamps: tuple[str, ...]
    warnings: tuple[str, ...]
    scores: Mapping[str, Estimate]
    reference: str | None
    differences: Mapping[str, Estimate]
    clips: Quantity
    kept_clips: Quantity
    kept_ratio: Quantity
    moment_kept: Quantity
    shuffled_query: Mapping[str, Quantity]
    macs_cold: Mapping[str, Quantity]
    macs_amortised: Mapping[str, Quantity]
    latency: Latency
    memory_bytes: Quantity
    parameters: Quantity
    fvcore_ratio: Quantity
    uncounted_operators: Mapping[str, int]
    rivals: Mapping[str, Estimate] = field(default_factory=dict)
    apply: str = "fill"
    freeze_backbone: bool = False
    selection: Selection = field(default_factory=Selection)
    plan: str = "query"
    wall_seconds: Mapping[str, Quantity] = field(default_factory=dict)
    validation: Quantity = UNRECORDED
    train_ratios: tuple[float, ...] = ()
    adaptive: Adaptive | None = None
    query_blind: bool = False
    floors: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    probes: Mapping[str, ProbeScores] = field(default_factory=dict)
    ood: OodScores | None = None


@dataclass(frozen=True, kw_only=True)
class SampleEntry:
    """A sample query: its true moments, and the times between which the stretches of its video lie, all in seconds."""

    sample_id: str
    sentence: str
    moments: tuple[tuple[float, float], ...]
    edges: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OodEntry:
    """The test split that is unlike train; shared_sources: source videos that are in the other test split too."""

    n_queries: int
    n_videos: int
    n_sources: int
    shared_sources: int
    floors: Floors


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """What was scored.

    n_sources: source videos, the unit of the bootstrap; facts: plain values; samples: the queries whose selection is
    drawn, chosen by the hash of their ids.
    """

    id: str
    name: str
    facts: Mapping[str, Any]
    stamps: tuple[str, ...]
    n_queries: int
    n_videos: int
    n_sources: int
    queries_per_video: float
    floors: Floors
    samples: tuple[SampleEntry, ...] = ()
    ood: OodEntry | None = None


@dataclass(frozen=True, kw_only=True)
class EncoderEntry:
    """Cost of one encoder pass, in multiply-adds, and how it is known."""

    role: str
    macs_per_clip: float
    basis: str
    source: str


@dataclass(frozen=True, kw_only=True)
class MetricEntry:
    """Unit and direction of a metric."""

    unit: str
    higher_is_better: bool
    summary: str


@dataclass(frozen=True, kw_only=True)
class ProtocolEntry:
    """The convention the scores follow, in words."""

    name: str
    rules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A cell of the sweep without a result, and why."""

    dataset: str
    backbone: str
    trimmer: str
    seed: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """A sweep. headline: the metric of differences and figures; stamps: lines that go beside every number."""

    name: str
    created: str
    argv: tuple[str, ...]
    headline: str
    protocol: ProtocolEntry
    metrics: Mapping[str, MetricEntry]
    stamps: tuple[str, ...]
    datasets: tuple[DatasetEntry, ...]
    encoders: Mapping[str, EncoderEntry]
    rows: tuple[Row, ...]
    missing: tuple[Absence, ...]
    failed: tuple[Absence, ...]
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def rows_of(self, dataset: str) -> tuple[Row, ...]:
        """The rows of one data set, in order."""
        return tuple(row for row in self.rows if row.dataset == dataset)


def summary_to_json(summary: SweepSummary) -> str:
    """The summary as JSON text, one line a row, the same for the same summary; ValueError for a NaN."""
    plain = asdict(summary)
    rows = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in plain.pop("rows")]
    head = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1).removesuffix("\n}")
    return head + ',\n "rows": [\n' + ",\n".join(rows) + "\n ]\n}\n"


def summary_from_json(text: str, where: str = "sweep summary") -> SweepSummary:
    """The summary in a JSON text; `where` is named in errors.

    Raises:
        DataError: the text is no summary, or one of another format.
    """
    try:
        read = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: is no JSON: {error}") from error
    found = read.get("format") if isinstance(read, dict) else None
    if found not in READABLE:
        raise DataError(f"{where}: format is {found!r}, expected {FORMAT}; write it again with `vmrbench report`")
    try:
        return TypeAdapter(SweepSummary).validate_python(read)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {place}: {first['msg']}") from error


def write_summary(summary: SweepSummary, path: Path) -> None:
    """Write the summary as JSON."""
    path.write_text(summary_to_json(summary), encoding="utf-8")


def read_summary(path: Path) -> SweepSummary:
    """Read a summary; DataError where the file is missing or is no summary."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return summary_from_json(text, str(path))
