"""A whole data set looked over: annotation files, then the features they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tabulate import tabulate

from vmrbench.data.annotation_findings import LENIENT, findings_of
from vmrbench.data.annotations import NO_CHOICES, read_annotations
from vmrbench.data.defects import STRICT, DefectPolicy
from vmrbench.data.feature_findings import SourceReport, feature_findings
from vmrbench.data.features import FeatureStore
from vmrbench.data.findings import Finding
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.rows import Tolerance


@dataclass(frozen=True, kw_only=True)
class AnnotationSource:
    """An annotation file, what its flavour needs beside it, and what is done about its defects."""

    path: Path
    options: FlavourOptions = NO_CHOICES
    policy: DefectPolicy = STRICT


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a data set is made of: annotation files by split, the sources of features, and what may disagree."""

    annotations: Mapping[str, AnnotationSource]
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
        splits={name: _split(file, material.stores, material.tolerance) for name, file in material.annotations.items()}
    )


def _split(source: AnnotationSource, stores: Sequence[FeatureStore], tolerance: Tolerance) -> SplitReport:
    file = read_annotations(source.path, options=source.options, policy=LENIENT)
    sources, findings = feature_findings(stores, list(file), tolerance)
    return SplitReport(path=source.path, findings=[*findings_of(file, source.policy), *findings], sources=sources)


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
