"""What shows whether a score can be believed and where it was lost, from stored predictions; no model is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vmrbench.config.cells import Cell
from vmrbench.engine.sample_strips import strips_of
from vmrbench.engine.splits import REPORTED, split_of
from vmrbench.engine.stages import SHUFFLED, SHUFFLED_QUERIES, read_queries
from vmrbench.protocol.convention import Protocol
from vmrbench.protocol.published import get_protocol
from vmrbench.protocols import Split
from vmrbench.score.ceilings import ENOUGH_KEPT, best_iou_within_reach, split_failures
from vmrbench.score.moments import Floats, true_moments
from vmrbench.score.selection import KEPT, KEPT_SHUFFLED, REACH, kept_histogram, kept_quantiles, same_clips
from vmrbench.store import read_json


def with_selection(cell: Cell, scores: pd.DataFrame, predicted: Path) -> pd.DataFrame:
    """The per-query scores, with what was kept of every query: clips, and the columns of `vmrbench.score.selection`.

    Args:
        cell: the cell.
        scores: one row a query, in the order of the split.
        predicted: folder of the stage `predict`.
    """
    queries = read_queries(predicted)
    split = split_of(cell, REPORTED, finer=cell.trimmer.finer)
    found = {"kept_clips": queries["kept_clips"], "clips": queries["clips"], KEPT: queries[KEPT]}
    if holds_shuffled(predicted):
        found[KEPT_SHUFFLED] = _shuffled(predicted)[KEPT]
    reach = best_iou_within_reach(_kept_times(split, queries), true_moments(split.annotations))
    return scores.assign(**{name: column.to_numpy() for name, column in found.items()}, **{REACH: reach})


def diagnose(cell: Cell, per_query: pd.DataFrame, predicted: Path) -> dict[str, Any]:
    """The diagnostics of a record. per_query: from `with_selection`; predicted: folder of the stage `predict`."""
    queries = read_queries(predicted)
    ratio = (queries["kept_clips"] / queries["clips"]).to_numpy(dtype=np.float64)
    protocol = get_protocol(cell.protocol)
    return {
        "clips_mean": float(queries["clips"].mean()),
        "kept_clips_mean": float(queries["kept_clips"].mean()),
        "kept_ratio_mean": float(ratio.mean()),
        "kept_ratio_quantiles": kept_quantiles(ratio),
        "kept_ratio_histogram": kept_histogram(ratio),
        "moment_kept_mean": float(queries[KEPT].mean()),
        "queries_per_video": len(queries) / queries["video_id"].nunique(),
        "enough_kept": ENOUGH_KEPT,
        "ceilings": _ceilings(per_query[REACH].to_numpy(), protocol),
        "failures": _failures(per_query, protocol),
        "shuffled_query": read_json(predicted / SHUFFLED),
        "shuffled_selection": _shuffled_selection(queries, predicted),
        "strips": strips_of(queries, split_of(cell, REPORTED).annotations, predicted, cell.trimmer.finer),
    }


def holds_shuffled(predicted: Path) -> bool:
    """Whether a `predict` folder says what was kept with another's query; those of earlier versions do not."""
    return (predicted / SHUFFLED_QUERIES).is_file()


def _ceilings(reach: Floats, protocol: Protocol) -> dict[str, float]:
    """Percent of queries by metric whose best window within reach has the IoU."""
    return {
        f"R1@{threshold:g}": 100 * float((reach >= threshold - protocol.tolerance).mean())
        for threshold in protocol.recall_thresholds
    }


def _failures(per_query: pd.DataFrame, protocol: Protocol) -> dict[str, dict[str, float]]:
    """By metric: percent of queries trimmed away and missed by the backbone."""
    found = {}
    names = [f"R1@{threshold:g}" for threshold in protocol.recall_thresholds]
    for name in (name for name in names if name in per_query.columns):
        split = split_failures(per_query[name].to_numpy() > 0, per_query[KEPT].to_numpy(dtype=np.float64))
        found[name] = {"trimmed_away": 100 * split.trimmed_away, "missed": 100 * split.missed}
    return found


def _shuffled_selection(queries: pd.DataFrame, predicted: Path) -> dict[str, Any]:
    if not holds_shuffled(predicted):
        earlier = "predicted by an earlier version; `vmrbench run` predicts again"
        return {"moment_kept_mean": None, "same_clips_mean": None, "reason": earlier}
    other = _shuffled(predicted)
    places = _places(queries)
    same = same_clips(list(queries[places]), list(other[places]))
    reason = None if same is not None else "no query keeps a clip"
    return {"moment_kept_mean": float(other[KEPT].mean()), "same_clips_mean": same, "reason": reason}


def _shuffled(predicted: Path) -> pd.DataFrame:
    return pd.read_parquet(predicted / SHUFFLED_QUERIES)


def _places(queries: pd.DataFrame) -> str:
    """The column that says what was kept: finer clips where windows were cut."""
    return "finer_kept" if "finer_kept" in queries.columns else "kept"


def _kept_times(split: Split, queries: pd.DataFrame) -> Sequence[Floats]:
    """For every query [K, 2] seconds of its kept clips. Reads one sample a video: its queries share their clips."""
    first = {video: place for place, video in reversed(list(enumerate(queries["video_id"])))}
    times: dict[str, Floats] = {}
    for video, place in first.items():
        sample = split[place]
        shown = sample if sample.finer is None else sample.finer
        times[video] = np.stack([shown.clip_start.numpy(), shown.clip_end.numpy()], axis=1).astype(np.float64)
    return [
        times[video][np.asarray(kept, dtype=np.int64)]
        for video, kept in zip(queries["video_id"], queries[_places(queries)], strict=True)
    ]
