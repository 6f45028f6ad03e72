"""One set of clips for all queries of a video, from what a trimmer would keep for each of them.

Queries rank the clips of their video: the clips they would keep first, by falling score, then the others by falling
score. A rank counts 1 for the first of L clips, down to 1/L for the last, so that queries whose scores have other
scales weigh the same. `mean` keeps the clips with the best mean rank (a Borda count), `max` those with the best rank of
any query, so that queries take turns; ties of `max` go to the better mean, all others to the earlier clip. As many
clips are kept as the queries would keep on average, rounded. A single query gets exactly its own clips.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["mean", "max"]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def union_plan(keeps: Booleans, scores: Floats, rule: Rule) -> Booleans:
    """The clips that all queries of a video share.

    Args:
        keeps: [Q, L] what each query would keep alone, at least one query.
        scores: [Q, L] its score of every clip, higher is better.
        rule: `mean` or `max`, as the module says.

    Returns:
        [L] the planned clips.

    Raises:
        ValueError: the shapes differ, or there is no query.
    """
    if keeps.shape != scores.shape or len(keeps) == 0:
        raise ValueError(f"keeps {keeps.shape} and scores {scores.shape} must be one [Q, L] with Q > 0")
    ranks = np.stack([_ranks(keep, score) for keep, score in zip(keeps, scores, strict=True)])
    mean = ranks.mean(0)
    first = mean if rule == "mean" else ranks.max(0)
    # Sums of the same ranks in another order may differ in their last digit, and must not decide.
    order = np.lexsort((-mean.round(9), -first.round(9)))
    budget = int(np.floor(keeps.sum(1).mean() + 0.5))
    planned = np.zeros(keeps.shape[1], dtype=np.bool_)
    planned[order[:budget]] = True
    return planned


def _ranks(keep: Booleans, score: Floats) -> Floats:
    """[L] 1 for the first clip of a query down to 1/L for the last; ties go to the earlier clip."""
    order = np.lexsort((-score, ~keep))
    ranks = np.empty(len(score))
    ranks[order] = 1 - np.arange(len(score)) / len(score)
    return ranks
