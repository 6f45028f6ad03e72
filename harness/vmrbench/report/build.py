"""From finished runs to the sweep summary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vmrbench.protocol.convention import Protocol
from vmrbench.protocols import DatasetFacts
from vmrbench.report.rows import FinishedRun, budget_of, cell_key, make_row
from vmrbench.report.summary import (
    Absence,
    DatasetEntry,
    EncoderEntry,
    MetricEntry,
    OodEntry,
    ProtocolEntry,
    Row,
    SampleEntry,
    SweepSummary,
)
from vmrbench.score.floors import floors
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.moments import source_video
from vmrbench.specs import EncoderSpec, MetricSpec
from vmrbench.types import Annotation

HEADLINE = "R1@0.5"
# The teacher's input with the student's extra epochs is the fair reference; the plain backbone where it did not run.
REFERENCES = ("all", "none")
Arms = Mapping[tuple[str, str, str], Sequence[FinishedRun]]


def build_summary(
    runs: Sequence[FinishedRun],
    *,
    name: str,
    created: str,
    argv: Sequence[str],
    protocol: Protocol,
    datasets: Sequence[DatasetEntry],
    encoders: Mapping[str, EncoderSpec],
    machine: Mapping[str, Any],
    versions: Mapping[str, Any],
    expected: Sequence[Mapping[str, Any]] = (),
    metrics: Sequence[MetricSpec] | None = None,
    stamps: Sequence[str] = (),
    label_readers: Collection[str] = (),
    query_blind: Collection[str] = (),
) -> SweepSummary:
    """Aggregate runs over seeds and compare every arm with its untrimmed reference.

    Args:
        runs: records with per-query scores; a run without scores counts as failed, for its `reasons`.
        name, created, argv: of the sweep; created as text, ISO 8601.
        protocol: the convention of the scores.
        datasets: the data sets, from `describe_dataset`, in the order of the report.
        encoders: the encoders whose cost was charged, by name.
        machine, versions: plain values.
        expected: the cells of the sweep, as in a record's `cell`; those without a run are listed as missing.
        metrics: what the per-query columns are; the protocol's own by default.
        stamps: lines beside every number, besides those of data sets and records.
        label_readers: names of trimmers that read labels: shown as ceilings and kept off the Pareto front.
        query_blind: names of backbones that read neither video nor query: floors that every other arm is held against.

    Raises:
        DataError: the runs of one arm do not hold the same queries.
    """
    chosen = protocol_metrics(protocol) if metrics is None else tuple(metrics)
    names = [metric.name for metric in chosen]
    headline = HEADLINE if HEADLINE in names else names[0]
    rows = _rows(runs, expected, names, headline, protocol, label_readers, query_blind)
    every_stamp = [*stamps, *(s for entry in datasets for s in entry.stamps), *(s for row in rows for s in row.stamps)]
    return SweepSummary(
        name=name,
        created=created,
        argv=tuple(argv),
        headline=headline,
        protocol=ProtocolEntry(name=protocol.name, rules=protocol.rules),
        metrics={
            metric.name: MetricEntry(unit=metric.unit, higher_is_better=metric.higher_is_better, summary=metric.summary)
            for metric in chosen
        },
        stamps=tuple(dict.fromkeys(every_stamp)),
        datasets=tuple(datasets),
        encoders={
            key: EncoderEntry(role=spec.role, macs_per_clip=spec.macs_per_clip, basis=spec.basis, source=spec.source)
            for key, spec in encoders.items()
        },
        rows=rows,
        missing=_missing(runs, expected),
        failed=tuple(_absence(run.record["cell"], _why(run)) for run in runs if run.per_query is None),
        machine=dict(machine),
        versions=dict(versions),
    )


def describe_dataset(
    dataset_id: str,
    name: str,
    facts: DatasetFacts,
    train: Sequence[Annotation] | None,
    test: Sequence[Annotation],
    protocol: Protocol,
    samples: Sequence[SampleEntry] = (),
    ood: Sequence[Annotation] | None = None,
) -> DatasetEntry:
    """What the report says of a data set: facts, counts of the scored split, and query-blind floors.

    Raises:
        DataError: an annotation has no usable moment.
    """
    videos = len({annotation.video_id for annotation in test})
    plain = asdict(facts)
    plain.pop("stamps")
    return DatasetEntry(
        id=dataset_id,
        name=name,
        facts=plain,
        stamps=tuple(facts.stamps),
        n_queries=len(test),
        n_videos=videos,
        n_sources=len({source_video(annotation) for annotation in test}),
        queries_per_video=len(test) / videos,
        floors=floors(train, test, protocol),
        samples=tuple(samples),
        ood=None if ood is None else _ood_entry(train, test, ood, protocol),
    )


def _ood_entry(
    train: Sequence[Annotation] | None, iid: Sequence[Annotation], ood: Sequence[Annotation], protocol: Protocol
) -> OodEntry:
    sources = {source_video(annotation) for annotation in ood}
    return OodEntry(
        n_queries=len(ood),
        n_videos=len({annotation.video_id for annotation in ood}),
        n_sources=len(sources),
        shared_sources=len(sources & {source_video(annotation) for annotation in iid}),
        floors=floors(train, ood, protocol),
    )


def _rows(
    runs: Sequence[FinishedRun],
    expected: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    headline: str,
    protocol: Protocol,
    label_readers: Collection[str],
    query_blind: Collection[str],
) -> tuple[Row, ...]:
    """One row an arm, in the order of the expected cells, then of the runs."""
    order = dict.fromkeys([*(cell_key(cell) for cell in expected), *(run.key for run in runs)])
    arms = {
        key: sorted((run for run in runs if run.key == key and run.per_query is not None), key=lambda run: run.seed)
        for key in order
    }
    return tuple(
        make_row(
            found,
            _reference(arms, key),
            metrics,
            protocol,
            label_readers,
            _rivals(arms, key),
            headline,
            query_blind,
            _floors(arms, key, query_blind),
        )
        for key, found in arms.items()
        if found
    )


def _floors(arms: Arms, key: tuple[str, str, str], query_blind: Collection[str]) -> list[Sequence[FinishedRun]]:
    """The query-blind arms on the same data set; a floor itself is held against none."""
    found = [runs for other, runs in arms.items() if runs and other[0] == key[0] and _is_blind(runs, query_blind)]
    return [] if _is_blind(arms[key], query_blind) else found


def _is_blind(runs: Sequence[FinishedRun], query_blind: Collection[str]) -> bool:
    return bool(runs) and str(runs[0].record["cell"]["backbone"]["name"]) in query_blind


def _rivals(arms: Arms, key: tuple[str, str, str]) -> list[Sequence[FinishedRun]]:
    """The arms before this one with the same backbone and the same budget, so that every pair is compared once."""
    budget = budget_of(arms[key][0])
    before = list(arms)[: list(arms).index(key)]
    if budget is None:
        return []
    return [arms[k] for k in before if k[:2] == key[:2] and arms[k] and budget_of(arms[k][0]) == budget]


def _reference(arms: Arms, key: tuple[str, str, str]) -> Sequence[FinishedRun]:
    dataset, backbone, _ = key
    for trimmer in REFERENCES:
        found = arms.get((dataset, backbone, trimmer))
        if found:
            return found
    return ()


def _missing(runs: Sequence[FinishedRun], expected: Sequence[Mapping[str, Any]]) -> tuple[Absence, ...]:
    done = {(run.key, run.seed) for run in runs}
    return tuple(_absence(cell, "has not run") for cell in expected if (cell_key(cell), int(cell["seed"])) not in done)


def _absence(cell: Mapping[str, Any], reason: str) -> Absence:
    dataset, backbone, trimmer = cell_key(cell)
    return Absence(dataset=dataset, backbone=backbone, trimmer=trimmer, seed=int(cell["seed"]), reason=reason)


def _why(run: FinishedRun) -> str:
    reasons = [str(reason) for reason in run.record.get("reasons") or ()]
    return "; ".join(reasons) or f"status {run.record.get('status')!r}, no reason recorded"
