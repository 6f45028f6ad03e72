"""What `vmrbench score` says of a predictions file, as one value: scores, floors, sensitivity, comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vmrbench.data.annotations import AnnotationFile
from vmrbench.protocol.convention import Protocol
from vmrbench.score.comparison import Change, compare, human_agreement, plain_changes
from vmrbench.score.floors import Floors, floors
from vmrbench.score.gaps import Gaps, gaps_between
from vmrbench.score.page import (
    comparison_section,
    details_section,
    faults_section,
    floors_section,
    gaps_section,
    score_page,
    sensitivity_table,
    truth_line,
)
from vmrbench.score.result import ScoreResult, score_submission
from vmrbench.score.sensitivity import Variant, sensitivity
from vmrbench.score.submission import read_submission
from vmrbench.types import Annotation

# Without a train split to fit it on: the middle half of the video.
MIDDLE_HALF = (0.25, 0.75)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Everything that is said of one predictions file.

    truth: what the annotation file is and what became of its defects, from `AnnotationFile.described`, None where the
    annotations come from no file; floors: with the constant window fitted on train where `fitted`, else the middle
    half; changes: against the file `against`, None without one; agreement: how far people agree on this data set, None
    where that is not known; ood: the same system out of the distribution of train, None where that was not asked.
    """

    result: ScoreResult
    truth: Mapping[str, Any] | None
    sensitivity: tuple[Variant, ...]
    floors: Floors
    fitted: bool
    against: str | None
    changes: Mapping[str, Change] | None
    agreement: str | None
    ood: Gaps | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, nested by section."""
        return {
            **self.result.to_json(),
            "annotations": self.truth,
            "sensitivity": [asdict(variant) for variant in self.sensitivity],
            "floors": {**asdict(self.floors), "fitted_on_train": self.fitted},
            "against": self.against,
            "changes": None if self.changes is None else plain_changes(self.changes),
            "human_agreement": self.agreement,
            "ood": None if self.ood is None else self.ood.to_json(),
        }

    def to_markdown(self) -> str:
        """A page with a section for each."""
        sections = [score_page(self.result)]
        if self.truth is not None:
            sections.append(truth_line(self.truth))
        if self.result.faults:
            sections.append(faults_section(self.result.faults))
        if self.against is not None and self.changes is not None:
            sections.append(comparison_section(self.against, self.changes))
        sections.append(floors_section(self.floors, "fitted on train" if self.fitted else "the middle half"))
        if self.ood is not None:
            sections.append(gaps_section(self.ood))
        if self.agreement:
            sections.append(f"{self.agreement}\n")
        sections.append(sensitivity_table({self.result.predictions: self.sensitivity}, self.result.protocol.name))
        sections.append(details_section(self.result.details))
        rules = "\n".join(f"- {rule}" for rule in self.result.protocol.rules)
        return "\n".join([*sections, f"## Protocol `{self.result.protocol.name}`\n\n{rules}\n"])


def assess(
    path: Path,
    annotations: Sequence[Annotation],
    protocol: Protocol,
    *,
    against: Path | None = None,
    train: Sequence[Annotation] | None = None,
    ood: tuple[Path, Sequence[Annotation]] | None = None,
) -> Assessment:
    """Score a predictions file and say what its numbers mean.

    Args:
        path: a file of any schema that `read_entries` knows.
        annotations: the truth; of an `AnnotationFile` the page also says what it is.
        protocol: the convention.
        against: another file on the same queries.
        train: where the constant window is fitted; without, it is the middle half of the video.
        ood: predictions of the same system on a split unlike train, and that split.

    Raises:
        DataError: a file or a query is not usable; the message starts with the file.
    """
    submission = read_submission(path, annotations, protocol)
    result = score_submission(submission, annotations, protocol, name=str(path))
    changes = None
    if against is not None:
        other = read_submission(against, annotations, protocol)
        changes = compare(result, score_submission(other, annotations, protocol, name=str(against), intervals=False))
    found = floors(train, annotations, protocol, window=MIDDLE_HALF)
    return Assessment(
        result=result,
        truth=annotations.described() if isinstance(annotations, AnnotationFile) else None,
        sensitivity=sensitivity(submission.predictions, annotations, protocol),
        floors=found,
        fitted=bool(train),
        against=None if against is None else str(against),
        changes=changes,
        agreement=human_agreement(annotations),
        ood=None if ood is None else _gaps(result, found, *ood, train),
    )


def _gaps(
    iid: ScoreResult,
    iid_floors: Floors,
    path: Path,
    annotations: Sequence[Annotation],
    train: Sequence[Annotation] | None,
) -> Gaps:
    protocol = iid.protocol
    there = score_submission(read_submission(path, annotations, protocol), annotations, protocol, name=str(path))
    return gaps_between(iid, there, iid_floors, floors(train, annotations, protocol, window=MIDDLE_HALF))
