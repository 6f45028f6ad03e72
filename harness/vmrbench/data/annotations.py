"""The door to annotation files: whatever published flavour, one record a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from vmrbench.data.defects import STRICT, DefectPolicy, DefectReport, settle
from vmrbench.data.fingerprints import KnownSplit, content_fingerprint, known_split
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.recognise import recognise
from vmrbench.errors import DataError
from vmrbench.types import Annotation

NO_CHOICES = FlavourOptions()


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationFile(Sequence[Annotation]):
    """The queries of a file, in its order, and what there is to know about it.

    flavour: what the file was recognised as; defects: what was wrong with it and what was done; fingerprint: of its
    content as written; dropped: ids of queries that were left out.
    """

    flavour: str
    annotations: tuple[Annotation, ...]
    defects: DefectReport
    fingerprint: str
    dropped: frozenset[str] = frozenset()

    @property
    def known_split(self) -> KnownSplit | None:
        """The public split with this content, None where it is none we know."""
        return known_split(self.fingerprint)

    def described(self) -> dict[str, Any]:
        """What it is, and what became of its defects: plain values for records."""
        known = self.known_split
        return {
            "flavour": self.flavour,
            "fingerprint": self.fingerprint,
            "known_split": None if known is None else known.name,
            **self.defects.to_json(),
        }

    def __len__(self) -> int:
        return len(self.annotations)

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.annotations)

    @overload
    def __getitem__(self, position: int) -> Annotation: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Annotation, ...]: ...
    def __getitem__(self, position: int | slice) -> Annotation | tuple[Annotation, ...]:
        return self.annotations[position]


def read_annotations(
    path: Path, *, options: FlavourOptions = NO_CHOICES, policy: DefectPolicy = STRICT
) -> AnnotationFile:
    """Read every query of a file of any flavour of docs/data.md, recognised by its content.

    The sample id is text; an id that the file writes stays as written in `extra["qid"]`, and so do unknown keys. A
    flavour without ids gives `<video>_<n>`, n counting the queries of each video from 0.

    Args:
        path: the file.
        options: what some flavours need beside it.
        policy: what is done about defects, by kind; all but rounding are errors unless declared.

    Raises:
        DataError: the file cannot be read, is of no known flavour, holds no query or none is left; a flavour needs an
            option; a value is of the wrong type; a defect whose policy is `error`. The message names file and query.
    """
    recognised = recognise(path, options)
    written = list(recognised.queries)
    if not written:
        raise DataError(f"{path}: no query in the file (read as {recognised.flavour})")
    annotations, defects = settle(written, policy)
    if not annotations:
        raise DataError(f"{path}: none of its {len(written)} queries is left: all were dropped for defects")
    return AnnotationFile(
        flavour=recognised.flavour,
        annotations=tuple(annotations),
        defects=defects,
        fingerprint=content_fingerprint(written),
        dropped=frozenset(query.sample_id for query in written) - {annotation.sample_id for annotation in annotations},
    )
