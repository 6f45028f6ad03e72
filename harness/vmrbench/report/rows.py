"""One row of a report: the runs of one (data set, backbone, trimmer), aggregated over their seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from vmrbench.errors import DataError
from vmrbench.protocol.convention import Protocol
from vmrbench.report.arm_numbers import Adaptive, Estimate, Latency, OodScores, ProbeScores, Quantity
from vmrbench.report.seed_means import NOT_RECORDED, estimate_of, mean_of, mean_quantity
from vmrbench.report.selection import selection_of
from vmrbench.report.summary import Row
from vmrbench.score.intervals import average_seeds, over_seeds, paired_difference, unpaired_difference
from vmrbench.score.per_query import probed

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run record and its per-query scores, which are None where the run failed.

    per_query_ood: those on the test split that is unlike train, None where there is none.
    """

    record: Record
    per_query: pd.DataFrame | None
    per_query_ood: pd.DataFrame | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Ids of data set, backbone and trimmer."""
        return cell_key(self.record["cell"])

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.record["cell"]["seed"])


def cell_key(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    """Ids of data set, backbone and trimmer of a cell."""
    return str(cell["dataset"]["id"]), str(cell["backbone"]["id"]), str(cell["trimmer"]["id"])


def make_row(
    runs: Sequence[FinishedRun],
    reference: Sequence[FinishedRun],
    metrics: Sequence[str],
    protocol: Protocol,
    label_readers: Collection[str] = (),
    rivals: Sequence[Sequence[FinishedRun]] = (),
    headline: str = "",
    query_blind: Collection[str] = (),
    floors: Sequence[Sequence[FinishedRun]] = (),
) -> Row:
    """Aggregate the finished runs of one arm.

    Args:
        runs: at least one, all of one arm, every one with per-query scores, ordered by seed.
        reference: the runs of the untrimmed arm; empty where it did not run; `runs` itself for that arm.
        metrics: columns to report, where the runs have them.
        protocol: of the intervals.
        label_readers: names of trimmers that read labels.
        rivals: the runs of other arms that this one is compared with, by the metric `headline`.
        query_blind: names of backbones that read neither video nor query.
        floors: the runs of each such backbone that this arm is compared with.

    Raises:
        DataError: the runs do not hold the same queries.
    """
    records = [run.record for run in runs]
    cell = records[0]["cell"]
    dataset, backbone, trimmer = runs[0].key
    frames = [run.per_query for run in runs if run.per_query is not None]
    columns = [name for name in metrics if all(name in frame.columns for frame in frames)]
    return Row(
        dataset=dataset,
        backbone=backbone,
        backbone_name=str(cell["backbone"]["name"]),
        trimmer=trimmer,
        trimmer_name=str(cell["trimmer"]["name"]),
        preset=cell["backbone"].get("preset"),
        fill=cell["trimmer"].get("fill"),
        plan=cell["trimmer"].get("plan", "query"),
        apply=str(cell["trimmer"].get("apply", "fill")),
        freeze_backbone=bool(cell["trimmer"].get("freeze_backbone", False)),
        train_ratios=tuple(cell["trimmer"].get("train_ratios", ())),
        adaptive=_adaptive(records),
        options=dict(cell["trimmer"].get("options") or {}),
        seeds=tuple(run.seed for run in runs),
        run_ids=tuple(str(record["run_id"]) for record in records),
        reads_labels=str(cell["trimmer"]["name"]) in label_readers,
        status="VALID" if all(record["status"] == "VALID" for record in records) else "INVALID",
        reasons=_union(records, "reasons"),
        stamps=_union(records, "stamps"),
        warnings=_union(records, "warnings"),
        scores=_scores(frames, columns, protocol),
        reference=reference[0].key[2] if reference else None,
        differences=_differences(runs, reference, columns, protocol),
        rivals=_rivals(runs, rivals, headline, protocol) if headline in columns else {},
        selection=selection_of(records, frames, protocol),
        validation=mean_of([_validation(record.get("training") or {}) for record in records]),
        wall_seconds=_stages([record.get("wall_seconds") or {} for record in records]),
        query_blind=str(cell["backbone"]["name"]) in query_blind,
        floors={floor[0].key[1]: _differences(runs, floor, columns, protocol) for floor in floors},
        probes=_probes(records, frames, columns, protocol),
        ood=_ood(runs, columns, protocol),
        **_diagnostics(records),
        **_costs(records),
    )


def _rivals(
    runs: Sequence[FinishedRun], rivals: Sequence[Sequence[FinishedRun]], headline: str, protocol: Protocol
) -> dict[str, Estimate]:
    return {rival[0].key[2]: _differences(runs, rival, [headline], protocol)[headline] for rival in rivals}


def budget_of(run: FinishedRun) -> float | None:
    """The keep ratio of a run, None where its trimmer has none."""
    ratio = (run.record["cell"]["trimmer"].get("options") or {}).get("keep_ratio")
    return None if ratio is None else float(ratio)


def _validation(training: Mapping[str, Any]) -> float | None:
    """The score that chose the epoch; None where nothing was trained."""
    epoch = training.get("selected_epoch")
    return (training.get("validation") or {}).get(str(epoch))


def _adaptive(records: Sequence[Record]) -> Adaptive | None:
    found = [record["calibration"] for record in records if "calibration" in record]
    if not found:
        return None
    return Adaptive(
        keep_ratio=float(found[0]["keep_ratio"]),
        split=str(found[0]["split"]),
        thresholds=tuple(round(float(entry["threshold"]), 4) for entry in found),
        budget_ratio=mean_of([entry["budget_ratio_mean"] for entry in found]),
        kept_ratio=mean_of([entry["kept_ratio_mean"] for entry in found]),
    )


def _diagnostics(records: Sequence[Record]) -> dict[str, Any]:
    found = [record.get("diagnostics") or {} for record in records]
    shuffled = [entry.get("shuffled_query") or {} for entry in found]
    names = dict.fromkeys(name for entry in shuffled for name in entry)
    return {
        "clips": mean_of([entry.get("clips_mean") for entry in found]),
        "kept_clips": mean_of([entry.get("kept_clips_mean") for entry in found]),
        "kept_ratio": mean_of([entry.get("kept_ratio_mean") for entry in found]),
        "moment_kept": mean_of([entry.get("moment_kept_mean") for entry in found]),
        "shuffled_query": {name: mean_of([entry.get(name) for entry in shuffled]) for name in names},
        "parameters": mean_of([record.get("parameters") for record in records]),
    }


def _costs(records: Sequence[Record]) -> dict[str, Any]:
    costs = [record.get("cost") or {} for record in records]
    uncounted: dict[str, int] = {}
    for cost in costs:
        for operator, count in (cost.get("uncounted_operators") or {}).items():
            uncounted[operator] = max(uncounted.get(operator, 0), int(count))
    return {
        "macs_cold": _stages([cost.get("macs_cold") or {} for cost in costs]),
        "macs_amortised": _stages([cost.get("macs_amortised") or {} for cost in costs]),
        "latency": _latency([cost.get("latency_ms") or {} for cost in costs]),
        "memory_bytes": _most([cost.get("memory_bytes") or {} for cost in costs]),
        "fvcore_ratio": _counter_ratio(costs),
        "uncounted_operators": uncounted,
    }


def _scores(frames: Sequence[pd.DataFrame], columns: Sequence[str], protocol: Protocol) -> dict[str, Estimate]:
    seeds = over_seeds(frames, columns, protocol)
    return {name: estimate_of(seeds.mean[name], seeds.per_seed[name]) for name in columns}


def _differences(
    runs: Sequence[FinishedRun], reference: Sequence[FinishedRun], columns: Sequence[str], protocol: Protocol
) -> dict[str, Estimate]:
    """Difference to another arm over the seeds both have; empty for the arm itself."""
    if not reference or reference[0].key == runs[0].key:
        return {}
    ours = {run.seed: run.per_query for run in runs if run.per_query is not None}
    theirs = {run.seed: run.per_query for run in reference if run.per_query is not None}
    both = [seed for seed in ours if seed in theirs]
    if not both:
        return dict.fromkeys(columns, Estimate(value=None, reason=f"no seed in common with {reference[0].key[2]!r}"))
    here, there = [ours[seed] for seed in both], [theirs[seed] for seed in both]
    try:
        found = paired_difference(average_seeds(here, columns), average_seeds(there, columns), columns, protocol)
    except DataError as error:
        return dict.fromkeys(columns, Estimate(value=None, reason=str(error)))
    each = {
        name: tuple(float(a[name].mean() - b[name].mean()) for a, b in zip(here, there, strict=True))
        for name in columns
    }
    return {name: estimate_of(found[name], each[name]) for name in columns}


def _probes(
    records: Sequence[Record], frames: Sequence[pd.DataFrame], columns: Sequence[str], protocol: Protocol
) -> dict[str, ProbeScores]:
    """The probes that every run of an arm has been under."""
    found = {}
    for probe in records[0].get("probes") or {}:
        names = {name: probed(name, probe) for name in columns}
        if not all(column in frame.columns for frame in frames for column in names.values()):
            continue
        under = [
            frame.drop(columns=list(names)).rename(columns={new: name for name, new in names.items()})
            for frame in frames
        ]
        change = [
            frame.assign(**{name: other[name] - frame[name] for name in columns})
            for frame, other in zip(frames, under, strict=True)
        ]
        found[probe] = ProbeScores(
            scores=_scores(under, columns, protocol), differences=_scores(change, columns, protocol)
        )
    return found


def _ood(runs: Sequence[FinishedRun], columns: Sequence[str], protocol: Protocol) -> OodScores | None:
    """Scores out of the distribution and their gap, over the seeds; None unless every run has them."""
    pairs = [(run.per_query, run.per_query_ood) for run in runs]
    iid = [here for here, there in pairs if here is not None and there is not None]
    ood = [there for here, there in pairs if here is not None and there is not None]
    if len(ood) < len(runs):
        return None
    each = {
        name: tuple(float(there[name].mean() - here[name].mean()) for here, there in zip(iid, ood, strict=True))
        for name in columns
    }
    gaps = unpaired_difference(average_seeds(ood, columns), average_seeds(iid, columns), columns, protocol)
    return OodScores(
        scores=_scores(ood, columns, protocol), gaps={name: estimate_of(gaps[name], each[name]) for name in columns}
    )


def _counter_ratio(costs: Sequence[Mapping[str, Any]]) -> Quantity:
    """Mean over seeds of fvcore's count over torch's."""
    if any("fvcore_ratio" in cost and cost["fvcore_ratio"] is None for cost in costs):
        return Quantity(value=None, reason="no multiply-adds were counted, so there is no ratio")
    return mean_of([cost.get("fvcore_ratio") for cost in costs])


def _stages(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Quantity]:
    """Mean over seeds of what every stage took."""
    stages = dict.fromkeys(stage for seed in seeds for stage in seed)
    return {stage: mean_quantity([seed.get(stage) or {} for seed in seeds]) for stage in stages}


def _most(entries: Sequence[Mapping[str, Any]]) -> Quantity:
    """Peak over seeds."""
    mean = mean_quantity(entries)
    return mean if mean.value is None else Quantity(value=max(float(entry["value"]) for entry in entries))


def _latency(entries: Sequence[Mapping[str, Any]]) -> Latency:
    # One session may time an arm once for all its seeds: the same timing is then in every record.
    entries = [entry for place, entry in enumerate(entries) if entry not in entries[:place]]
    missing = [entry for entry in entries if entry.get("p50") is None or entry.get("p90") is None]
    invalid = [entry for entry in entries if not entry.get("valid")]
    reason = next((entry.get("reason") or NOT_RECORDED for entry in [*missing, *invalid]), None)
    return Latency(
        p50_ms=None if missing else median(float(entry["p50"]) for entry in entries),
        p90_ms=None if missing else median(float(entry["p90"]) for entry in entries),
        n=sum(int(entry.get("n") or 0) for entry in entries),
        valid=not missing and not invalid,
        reason=reason,
    )


def _union(records: Sequence[Record], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(line) for record in records for line in record.get(key) or ()))
