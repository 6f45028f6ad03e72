"""What a predictions file holds and what was looked at in it, as counts; no score is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vmrbench.protocol.convention import Protocol
from vmrbench.score.faults import count_faults
from vmrbench.score.moments import source_video
from vmrbench.score.submission import Submission
from vmrbench.types import Annotation

_ALWAYS = (
    "the schema of every line",
    "query ids: known, and once each",
    "videos: those of the annotations",
    "windows: finite numbers",
)
_JUDGED = ("windows: start before end, inside the video", "lists: sorted by score", "queries: all answered")


@dataclass(frozen=True, kw_only=True)
class SubmissionCounts:
    """Counts of a predictions file.

    queries, videos, sources: of the annotations, source videos being the unit of intervals; answered: queries that the
    file holds; windows: of all queries; fewest, median, most: windows a query among the answered ones, median as numpy
    has it, None where none is answered; saliency: queries with saliency scores; faults: by kind, what the protocol
    scores as it stands; checked: in words.
    """

    queries: int
    videos: int
    sources: int
    answered: int
    windows: int
    fewest: int | None
    median: float | None
    most: int | None
    saliency: int
    faults: Mapping[str, int]
    checked: tuple[str, ...]


def count_submission(submission: Submission, annotations: Sequence[Annotation], protocol: Protocol) -> SubmissionCounts:
    """Count what `read_submission` has read for these annotations under this protocol."""
    lengths = [len(prediction.moments) for prediction in submission.predictions]
    judged = "refused" if protocol.faults == "refused" else "listed"
    return SubmissionCounts(
        queries=len(annotations),
        videos=len({annotation.video_id for annotation in annotations}),
        sources=len({source_video(annotation) for annotation in annotations}),
        answered=len(lengths),
        windows=sum(lengths),
        fewest=min(lengths, default=None),
        median=float(np.median(lengths)) if lengths else None,
        most=max(lengths, default=None),
        saliency=sum(prediction.saliency is not None for prediction in submission.predictions),
        faults=count_faults(submission.faults),
        checked=(*_ALWAYS, *(f"{what} ({judged} where not)" for what in _JUDGED[:2]), _missing(protocol)),
    )


def _missing(protocol: Protocol) -> str:
    return f"{_JUDGED[2]} ({'refused' if protocol.missing == 'refused' else 'left out of the means'} where not)"
