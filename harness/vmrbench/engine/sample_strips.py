"""The selections of a few sample queries, as they are stored and as a record keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vmrbench.protocols import Split
from vmrbench.report.summary import SampleEntry
from vmrbench.score.strips import digits_of, sample_places, scaled_scores, stretch_bounds
from vmrbench.store import read_json, write_json
from vmrbench.types import Annotation

SAMPLE_SCORES = "sample_scores.json"


def write_sample_scores(scores: Sequence[np.ndarray] | None, annotations: Sequence[Annotation], path: Path) -> None:
    """Store the trimmer's scores of the sample queries by sample id; none where it gives none.

    Args:
        scores: for every query [L], in the order of the annotations.
        annotations: of the split.
        path: the file.
    """
    chosen = () if scores is None else sample_places(annotations)
    plain = {} if scores is None else {annotations[place].sample_id: scores[place].tolist() for place in chosen}
    write_json(path, plain)


def strips_of(
    queries: pd.DataFrame, annotations: Sequence[Annotation], predicted: Path, finer: int | None = None
) -> dict[str, dict[str, object]]:
    """By sample id, as digits: `kept`, the share of clips kept, and `heat`, the scores, None without scores.

    Where windows were cut `kept` is the share of finer clips.

    Args:
        queries: from `vmrbench.engine.stages.read_queries`.
        annotations: of the split, in the same order.
        predicted: folder of the stage `predict`; those of earlier versions hold no scores.
        finer: finer clips in the time of one, None where no windows were cut.
    """
    path = predicted / SAMPLE_SCORES
    scores = read_json(path) if path.is_file() else {}
    found: dict[str, dict[str, object]] = {}
    for place in sample_places(annotations):
        name = annotations[place].sample_id
        kept = _kept_shares(queries.iloc[place], finer)
        heat = digits_of(scaled_scores(np.asarray(scores[name], dtype=np.float64))) if name in scores else None
        found[name] = {"kept": digits_of(kept), "heat": heat}
    return found


def _kept_shares(query: pd.Series, finer: int | None) -> np.ndarray:
    """[L] 1 for a clip that was kept; where windows were cut, the share of its finer clips that was read."""
    clips = int(query["clips"])
    if finer is None:
        return np.isin(np.arange(clips), query["kept"]).astype(np.float64)
    clip_of = np.minimum(np.arange(int(query["finer_clips"])) // finer, clips - 1)
    read = np.bincount(clip_of[np.asarray(query["finer_kept"], dtype=np.int64)], minlength=clips)
    shares: np.ndarray = read / np.bincount(clip_of, minlength=clips).clip(min=1)
    return shares


def describe_samples(split: Split) -> list[SampleEntry]:
    """The sample queries of a split with the times of their stretches; reads their features."""
    entries = []
    for place in sample_places(split.annotations):
        sample = split[place]
        ends = sample.clip_end.tolist()
        edges = [float(sample.clip_start[0]), *(ends[bound - 1] for bound in stretch_bounds(len(ends))[1:])]
        told = sample.annotation
        entries.append(
            SampleEntry(
                sample_id=told.sample_id,
                sentence=told.sentence,
                moments=told.moments,
                edges=tuple(round(edge, 2) for edge in edges),
            )
        )
    return entries
