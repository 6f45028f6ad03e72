"""What is odd about predictions: refused by a strict protocol, scored as it stands and listed by a published one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vmrbench.errors import DataError
from vmrbench.protocol.convention import Protocol
from vmrbench.score.entries import Entry
from vmrbench.score.windows import leaves_video, not_finite, window_fault
from vmrbench.types import Annotation

Kind = Literal["reversed", "empty", "beyond the video", "unsorted", "no window", "missing"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is odd. place: such as `line 3`, None where the file lacks the query."""

    kind: Kind
    sample_id: str
    place: str | None
    text: str


def judge_entry(entry: Entry, annotation: Annotation, where: str) -> list[Fault]:
    """What is odd about the windows of one query.

    Raises:
        DataError: a window holds a NaN or an infinite number, which no protocol scores.
    """
    faults = []

    def add(kind: Kind, text: str) -> None:
        faults.append(Fault(kind=kind, sample_id=annotation.sample_id, place=entry.place, text=text))

    for rank, window in enumerate(entry.windows, start=1):
        broken = not_finite(entry.as_written(window))
        if broken:
            raise DataError(f"{where}: window {rank}: {broken}; expected finite numbers")
        wrong = window_fault(window)
        if wrong:
            add("reversed" if window[1] < window[0] else "empty", f"window {rank}: {wrong}")
        outside = leaves_video(window, annotation.duration)
        if outside:
            add("beyond the video", f"window {rank}: {outside}")
    scores = [window[2] for window in entry.windows]
    later = [rank for rank in range(1, len(scores)) if scores[rank] > scores[rank - 1]]
    if later:
        add("unsorted", f"window {later[0] + 1} scores {scores[later[0]]:g}, more than the one listed before it")
    if not entry.windows:
        add("no window", "the list of windows is empty and counts 0")
    return faults


def missing_queries(sample_ids: Sequence[str]) -> list[Fault]:
    """Annotated queries that the file does not hold."""
    return [Fault(kind="missing", sample_id=name, place=None, text="has no prediction") for name in sample_ids]


def count_faults(faults: Sequence[Fault]) -> dict[str, int]:
    """How many of each kind, in the order of their first."""
    return dict(Counter(fault.kind for fault in faults))


def refuse(faults: Sequence[Fault], path: Path, protocol: Protocol, queries: int) -> None:
    """Raise DataError for the first fault that the protocol does not score, with how many there are of its kind."""
    for fault in faults:
        alike = count_faults(faults)[fault.kind]
        if fault.kind == "missing" and protocol.missing == "refused":
            raise DataError(
                f"{path}: query {fault.sample_id!r} has no prediction ({alike} of {queries} are missing); expected one "
                "entry for every query, with an empty list where nothing was found"
            )
        if fault.kind not in ("missing", "no window") and protocol.faults == "refused":
            raise DataError(
                f"{path}: {fault.place}: query {fault.sample_id!r}: {fault.text} ({alike} faults of this kind, "
                f"{fault.kind}); {protocol.name} refuses it: mend the file, or score it as a published evaluator does"
            )
