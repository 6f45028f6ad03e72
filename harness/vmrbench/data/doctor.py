"""A whole data set looked over: annotation files, then the features they need."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tabulate import tabulate

from vmrbench.data.annotations import count_cut_windows, read_annotations
from vmrbench.data.feature_findings import Finding, SourceReport, feature_findings
from vmrbench.data.features import FeatureStore
from vmrbench.data.rows import Tolerance
from vmrbench.errors import DataError
from vmrbench.identity import fingerprint
from vmrbench.types import Annotation


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a data set is made of: annotation files by split, the sources of features, and what may disagree."""

    annotations: Mapping[str, Path]
    stores: Sequence[FeatureStore]
    tolerance: Tolerance


@runtime_checkable
class Examinable(Protocol):
    """A data set that can be looked over."""

    def material(self) -> Material:
        """Its files, nothing read yet but what tells the kind of a file."""


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """One annotation file: where it is, its findings, its sources."""

    path: Path
    findings: Sequence[Finding]
    sources: Sequence[SourceReport]


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """The findings of every split, by name."""

    splits: Mapping[str, SplitReport]

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing but facts."""
        return all(finding.level == "fact" for split in self.splits.values() for finding in split.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        splits = {
            name: {
                "path": str(split.path),
                "findings": [asdict(finding) for finding in split.findings],
                "sources": [source.to_json() for source in split.sources],
            }
            for name, split in self.splits.items()
        }
        return {"clean": self.is_clean, "splits": splits}

    def to_markdown(self) -> str:
        """A section a split: a table of its sources, then one of what was found."""
        parts = []
        for name, split in self.splits.items():
            parts += [f"## {name}: {split.path}", *([_sources_table(split.sources)] if split.sources else [])]
            parts.append(_findings_table(split.findings))
        found = [f.level for split in self.splits.values() for f in split.findings if f.level != "fact"]
        kinds = ", ".join(
            f"{count} {level}{'s' if count > 1 else ''}" for level, count in sorted(Counter(found).items())
        )
        return "\n\n".join([*parts, f"Found: {kinds}." if found else "Nothing is wrong."]) + "\n"


def examine(material: Material) -> DoctorReport:
    """Read everything.

    Raises:
        DataError: an annotation file that cannot be read at all.
    """
    return DoctorReport(
        splits={name: _split(path, material.stores, material.tolerance) for name, path in material.annotations.items()}
    )


def _split(path: Path, stores: Sequence[FeatureStore], tolerance: Tolerance) -> SplitReport:
    repeated = _repeated_ids(path)
    if repeated:
        message = f"{len(repeated)} ids come twice, so features are not looked at; first: {repeated[0]!r}"
        finding = Finding(check="duplicate_id", level="error", message=message, count=len(repeated), first=repeated[0])
        return SplitReport(path=path, findings=[finding], sources=[])
    annotations = read_annotations(path, windows_beyond="clip")
    sources, findings = feature_findings(stores, annotations, tolerance)
    return SplitReport(path=path, findings=[*_annotation_findings(annotations), *findings], sources=sources)


def _annotation_findings(annotations: Sequence[Annotation]) -> list[Finding]:
    videos = {annotation.video_id for annotation in annotations}
    windows = sum(len(annotation.moments) for annotation in annotations)
    content = sorted([a.video_id, a.sentence, a.duration, [list(m) for m in a.moments]] for a in annotations)
    counts = f"{len(annotations)} queries, {windows} windows, {len(videos)} videos"
    findings = [
        Finding(check="counts", level="fact", message=counts, count=len(annotations)),
        Finding(check="fingerprint", level="fact", message=f"content {fingerprint(content)[:16]}"),
    ]
    cut = count_cut_windows(annotations)
    if cut:
        first = next(a.sample_id for a in annotations if a.extra.get("windows_cut"))
        message = f"{cut} windows leave their video by more than 0.1 s; first: query {first!r}"
        findings.append(Finding(check="truncated_truth", level="warning", message=message, count=cut, first=first))
    return findings


def _repeated_ids(path: Path) -> list[str]:
    """Ids that several lines have, as text; none where lines are not JSON, which the reader tells."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: annotations cannot be read: {error.strerror}") from error
    except ValueError:
        return []
    times = Counter(str(row.get("qid")) for row in rows if isinstance(row, dict))
    return [qid for qid, count in times.items() if count > 1]


def _sources_table(sources: Sequence[SourceReport]) -> str:
    heads = ["source", "role", "encoder", "covered", "widths", "rows", "s a row", "declared"]
    lines = []
    for source in sources:
        values = source.to_json()
        percent = values["coverage_percent"]
        covered = "none wanted" if percent is None else f"{percent:.2f} % of {source.wanted}"
        measured = "" if source.clip_seconds is None else f"{source.clip_seconds:.4g}"
        widths = ", ".join(values["widths"]) or "none"
        lines.append(
            [
                f"`{source.path}`",
                source.role,
                source.encoder,
                covered,
                widths,
                values["rows"],
                measured,
                source.declared,
            ]
        )
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)


def _findings_table(findings: Sequence[Finding]) -> str:
    order = {"error": 0, "warning": 1, "fact": 2}
    lines = [[f.level, f.check, f.message.replace("|", "\\|")] for f in sorted(findings, key=lambda f: order[f.level])]
    return tabulate(lines, headers=["level", "check", "what"], tablefmt="github", disable_numparse=True)
