"""What is wrong with the features of a data set, all of it: nothing stops at the first mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vmrbench.data.features import FeatureStore
from vmrbench.data.findings import Finding, Level
from vmrbench.data.provider import feature_id, frame_rate
from vmrbench.data.rows import Tolerance
from vmrbench.data.timing import Timing, timing_of
from vmrbench.errors import DataError
from vmrbench.types import Annotation


@dataclass(kw_only=True)
class SourceReport:
    """What one source holds for the ids that were asked for.

    wanted, covered: ids; rows: of each id that could be read; widths: ids by width; clip_seconds: median of duration
    over rows, None for text and where nothing was read. Ids of what is wrong: missing, unreadable, not_finite, zero.
    """

    path: str
    role: str
    encoder: str
    declared: str
    wanted: int = 0
    covered: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    widths: Counter[int] = field(default_factory=Counter)
    clip_seconds: float | None = None
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    reason: str = ""
    not_finite: list[str] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values: counts in place of ids."""
        return {
            "path": self.path,
            "role": self.role,
            "encoder": self.encoder,
            "declared": self.declared,
            "wanted": self.wanted,
            "covered": self.covered,
            "coverage_percent": 100 * self.covered / self.wanted if self.wanted else None,
            "widths": {str(width): count for width, count in sorted(self.widths.items())},
            "rows": sum(self.rows.values()),
            "clip_seconds": self.clip_seconds,
        }


def feature_findings(
    stores: Sequence[FeatureStore], annotations: Sequence[Annotation], tolerance: Tolerance
) -> tuple[list[SourceReport], list[Finding]]:
    """Read every feature that the annotations need, and say what is wrong with it."""
    reports = [_report(store, annotations) for store in stores]
    findings = [finding for report in reports for finding in _of_a_source(report)]
    timed = [(s, r) for s, r in zip(stores, reports, strict=True) if s.source.role != "text"]
    if timed:
        findings += _times(timed, annotations, tolerance)
    return reports, findings


def _report(store: FeatureStore, annotations: Sequence[Annotation]) -> SourceReport:
    source = store.source
    declared = f"{source.stride_frames:g} frames" if source.stride_frames else str(source.clip_seconds)
    report = SourceReport(
        path=str(source.path),
        role=source.role,
        encoder=source.encoder,
        declared="tokens" if source.role == "text" else declared,
    )
    wanted = list(dict.fromkeys(feature_id(store, annotation) for annotation in annotations))
    report.missing = store.missing(wanted)
    report.wanted, report.covered = len(wanted), len(wanted) - len(report.missing)
    absent = set(report.missing)
    for name in wanted:
        if name not in absent:
            _read(store, name, report)
    if source.role != "text":
        durations = {annotation.video_id: annotation.duration for annotation in annotations}
        lengths = [durations[name] / rows for name, rows in report.rows.items()]
        report.clip_seconds = float(np.median(lengths)) if lengths else None
    return report


def _read(store: FeatureStore, name: str, report: SourceReport) -> None:
    try:
        rows = store.read_unchecked(name)
    except DataError as error:
        report.unreadable.append(name)
        report.reason = report.reason or str(error)
        return
    report.rows[name] = len(rows)
    report.widths[rows.shape[1]] += 1
    if not np.isfinite(rows).all():
        report.not_finite.append(name)
    elif not rows.any():
        report.zero.append(name)


def _of_a_source(report: SourceReport) -> Iterator[Finding]:
    where = f"{report.role} features in {report.path}"
    share = 100 * report.covered / report.wanted if report.wanted else 0.0
    kinds: list[tuple[str, Level, list[str], str]] = [
        ("coverage", "error", report.missing, f"ids have no {where}: {share:.2f} % of {report.wanted} are covered"),
        ("readable", "error", report.unreadable, f"ids have {where} that cannot be read: {report.reason}"),
        ("not_finite", "error", report.not_finite, f"ids have NaN or infinite {where}"),
        ("zeros", "warning", report.zero, f"ids have {where} that are zero throughout, as if filled in"),
    ]
    for check, level, ids, said in kinds:
        if ids:
            yield _counted(check, level, ids, said)
    if len(report.widths) > 1:
        found = ", ".join(f"{width} ({count} ids)" for width, count in report.widths.most_common())
        few = sum(report.widths.values()) - report.widths.most_common(1)[0][1]
        yield Finding(check="widths", level="error", message=f"{where} differ in width: {found}", count=few)


def _times(
    timed: Sequence[tuple[FeatureStore, SourceReport]], annotations: Sequence[Annotation], tolerance: Tolerance
) -> Iterator[Finding]:
    first = {annotation.video_id: annotation for annotation in reversed(annotations)}
    for store, report in timed:
        yield from _strides(store, report, first)
    yield from _row_counts([report for _, report in timed], tolerance)
    store, report = timed[0]
    shortest = {name: min(other.rows.get(name, rows) for _, other in timed) for name, rows in report.rows.items()}
    timings = {name: _timing(store, first[name], rows) for name, rows in shortest.items()}
    yield from _truth_beyond(annotations, shortest, timings)


def _strides(store: FeatureStore, report: SourceReport, first: Mapping[str, Annotation]) -> Iterator[Finding]:
    """Videos whose rows do not make up their duration, by more than one row."""
    off: dict[str, float] = {}
    unknown: list[str] = []
    for name, rows in report.rows.items():
        timing = _timing(store, first[name], rows)
        if timing is None:
            unknown.append(name)
        elif abs(gap := timing.covered(rows) - first[name].duration) > timing.step + 1e-6:
            off[name] = gap
    where = f"{report.role} features in {report.path}"
    if unknown:
        said = f"videos have {where} with a stride in frames and no frame rate; set fps"
        yield _counted("strides", "error", unknown, said)
    if off:
        worst = max(off, key=lambda name: abs(off[name]))
        said = (
            f"of {len(report.rows)} videos are off their duration by more than one row of {where}; worst {worst!r} by "
            f"{off[worst]:+.2f} s; duration over rows has the median {report.clip_seconds:.4g} s, declared is "
            f"{report.declared}"
        )
        yield _counted("strides", "warning", list(off), said)


def _row_counts(reports: Sequence[SourceReport], tolerance: Tolerance) -> Iterator[Finding]:
    common = set.intersection(*(set(report.rows) for report in reports))
    gaps = {n: max(r.rows[n] for r in reports) - min(r.rows[n] for r in reports) for n in sorted(common)}
    far = [name for name, gap in gaps.items() if gap > tolerance.rows]
    near = [name for name, gap in gaps.items() if 0 < gap <= tolerance.rows]
    if far:
        said = f"videos have sources that differ by more than {tolerance.rows} rows"
        yield _counted("row_counts", "error", far, said)
    if near:
        said = f"videos have sources that differ by up to {tolerance.rows} rows; they are cut to the shortest"
        yield _counted("row_counts", "fact", near, said)


def _truth_beyond(
    annotations: Sequence[Annotation], rows: Mapping[str, int], timings: Mapping[str, Timing | None]
) -> Iterator[Finding]:
    """Windows that no row, or not the whole of it, is there for; one row at the end is stretched anyway."""
    lost, cut = [], []
    for annotation in annotations:
        timing = timings.get(annotation.video_id)
        if timing is None:
            continue
        covered = timing.covered(rows[annotation.video_id])
        for start, end in annotation.moments:
            if start >= covered:
                lost.append(annotation.sample_id)
            elif end > covered + timing.step + 1e-6:
                cut.append(annotation.sample_id)
    if lost:
        yield _counted("truth_beyond_features", "warning", lost, "windows begin after the last row of features")
    if cut:
        yield _counted("truth_beyond_features", "warning", cut, "windows end more than a row after the last features")


def _timing(store: FeatureStore, annotation: Annotation, rows: int) -> Timing | None:
    try:
        fps = frame_rate(annotation) if store.source.reads_frame_rate else None
        return timing_of(store.source, rows, annotation.duration, fps)
    except DataError:  # Told as a finding: no frame rate is known.
        return None


def _counted(check: str, level: Level, ids: Iterable[str], said: str) -> Finding:
    found = list(ids)
    message = f"{len(found)} {said}; first: {found[0]!r}"
    return Finding(check=check, level=level, message=message, count=len(found), first=found[0])
