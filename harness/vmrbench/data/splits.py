"""Makes splits from lists of annotations: validation carved by video, and seeded subsets."""

from __future__ import annotations

import random
from collections.abc import Sequence

from vmrbench.errors import DataError
from vmrbench.types import Annotation


def carve_validation(
    annotations: Sequence[Annotation], share: float, seed: int
) -> tuple[list[Annotation], list[Annotation]]:
    """Divide into training and validation by video, so that no video is in both; the order is kept.

    share: of the videos that go to validation, 0..1; at least one video goes to each side.

    Raises:
        DataError: there is only one video.
    """
    videos = _videos(annotations)
    if len(videos) < 2:
        raise DataError(f"validation cannot be carved from {len(videos)} video; give a file for val")
    count = min(max(1, round(share * len(videos))), len(videos) - 1)
    held_out = set(random.Random(seed).sample(videos, count))
    train = [a for a in annotations if a.video_id not in held_out]
    return train, [a for a in annotations if a.video_id in held_out]


def limit(annotations: Sequence[Annotation], *, videos: int | None, queries: int | None, seed: int) -> list[Annotation]:
    """A seeded subset: of the videos first, then of the queries left; None takes all. The order is kept."""
    kept = list(annotations)
    names = _videos(kept)
    if videos is not None and videos < len(names):
        chosen = set(random.Random(seed).sample(names, videos))
        kept = [a for a in kept if a.video_id in chosen]
    if queries is not None and queries < len(kept):
        positions = sorted(random.Random(seed).sample(range(len(kept)), queries))
        kept = [kept[i] for i in positions]
    return kept


def _videos(annotations: Sequence[Annotation]) -> list[str]:
    return sorted({a.video_id for a in annotations})
