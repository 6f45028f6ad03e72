"""Clips cut out of the features of whole videos, by the rule of Ego4D's own preparation for NLQ."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vmrbench.data.annotation_findings import LENIENT
from vmrbench.data.features import FeatureSource, FeatureStore, Rows
from vmrbench.data.flavours.ego4d_nlq import SOURCE_WINDOW
from vmrbench.errors import ConfigError, DataError
from vmrbench.types import Annotation

# What is wrong with a query does not concern the clip it is asked about.
KEEP_ALL = replace(LENIENT, duplicate_id="error")

# Rows that the features of a video may end before its clip: windows of frames are not cut off at the end of a video.
ROWS_SHORT = 2


def cut_clips(annotations: Iterable[Annotation], store: FeatureStore, out: Path) -> list[Path]:
    """Write `<out>/<clip>.pt`, a tensor [rows, width] fp32, for the clip of every annotation; each video is read once.

    Row i of a whole video begins at frame i x stride. A clip has the rows int(start x fps / stride) to
    int(end x fps / stride), both included, as `prepare_ego4d_dataset.py` of EGO4D/episodic-memory cuts them (its floor
    and ceil come after int and change nothing). Files that are there are replaced.

    Args:
        annotations: of the flavour ego4d_nlq on the time base `clip`.
        store: features of whole videos, with `stride_frames` and `fps`.
        out: the folder; made where it is missing.

    Raises:
        ConfigError: the source tells no stride in frames at a fixed rate, or `out` cannot be a folder.
        DataError: an annotation does not tell where its clip lies, the name of a clip is no file name or is that of
            clips of two videos, a video has no features, or ends more than two rows before a clip does. What was
            written before stays.
    """
    rate = _rows_a_second(store.source)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be a folder: {error.strerror}; name another") from error
    clips = _clips_by_video(annotations)
    store.check_coverage(clips)
    written = []
    for video, windows in clips.items():
        rows = store.read_unscaled(video)
        for clip, window in windows.items():
            path = out / f"{clip}.pt"
            _save(path, _inside(rows, window, rate, f"{store.where(video)}: clip {clip!r} of {video!r}"))
            written.append(path)
    return written


def _clips_by_video(annotations: Iterable[Annotation]) -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Start and end of every clip, by video and clip."""
    found: dict[str, dict[str, Sequence[float]]] = defaultdict(dict)
    owner: dict[str, str] = {}
    for annotation in annotations:
        if SOURCE_WINDOW not in annotation.extra:
            raise DataError(
                f"annotation {annotation.sample_id!r} does not tell where its clip lies in its video; only those of "
                "Ego4D NLQ on the time base 'clip' do"
            )
        clip, video = annotation.video_id, annotation.extra["source_video"]
        if clip in ("", ".", "..") or any(sign in clip for sign in "/\\\0"):
            raise DataError(f"annotation {annotation.sample_id!r}: clip {clip!r} cannot be the name of a file")
        if owner.setdefault(clip, video) != video:
            raise DataError(f"clip {clip!r} is said to be of video {owner[clip]!r} and of {video!r}; expected one")
        found[video][clip] = annotation.extra[SOURCE_WINDOW]
    return found


def _rows_a_second(source: FeatureSource) -> float:
    if source.stride_frames is None or isinstance(source.fps, str):
        raise ConfigError(f"{source.path}: stride_frames and fps are needed to cut clips; give both, such as 16 and 30")
    return source.fps / source.stride_frames


def _inside(rows: Rows, window: Sequence[float], rate: float, where: str) -> Rows:
    first, last = (int(seconds * rate) for seconds in window)
    if first >= len(rows) or last - ROWS_SHORT >= len(rows):
        raise DataError(f"{where} has rows {first} to {last}, the video has {len(rows)}; extract its features again")
    return rows[first : last + 1]


def _save(path: Path, rows: Rows) -> None:
    aside = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        torch.save(torch.from_numpy(rows.copy()), aside)  # A copy: a slice would be saved with its whole video.
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
