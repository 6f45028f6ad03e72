"""Two predictions files on the same queries: the paired difference, whether it is chance, and what could be told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from vmrbench.errors import DataError
from vmrbench.score.intervals import Interval, chance_of_difference, differences, paired_difference
from vmrbench.score.result import ScoreResult
from vmrbench.types import Annotation

# Standard errors at which a difference is found with power 80 % by a two-sided test at 5 %: 1.96 + 0.84.
DETECTABLE_ERRORS = 2.8
# Share of queries that one of two strong systems answers right and the other wrong, as seen on QVHighlights val.
USUAL_DISCORDANCE = 0.21

# Pairs of people who mark the same query; Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment
# Retrieval, BMVC 2020: 1,000 queries of Charades-STA and 1,288 of ActivityNet Captions, five people each.
_AGREEMENT = (
    ("Charades-STA", re.compile(r"[A-Z0-9]{5}"), "0.521 (57 % of pairs reach 0.5, 30 % reach 0.7)"),
    ("ActivityNet Captions", re.compile(r"v_.{11}"), "0.442 (44 % of pairs reach 0.5, 30 % reach 0.7)"),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A paired difference of one metric, ours minus theirs.

    chance: two-sided p of a paired randomisation test over source videos; detectable: the smallest true difference
    that this many queries show with power 80 %. Both None where there are fewer than two source videos.
    """

    difference: Interval
    chance: float | None
    detectable: float | None


def compare(ours: ScoreResult, theirs: ScoreResult) -> dict[str, Change]:
    """Paired differences by metric of both.

    Raises:
        DataError: the files do not answer the same queries.
    """
    names = [name for name in ours.directions if name in theirs.directions]
    try:
        found = paired_difference(ours.per_query, theirs.per_query, names, ours.protocol)
        chances = chance_of_difference(differences(ours.per_query, theirs.per_query, names), names, ours.protocol)
    except DataError as error:
        raise DataError(f"{ours.predictions} against {theirs.predictions}: {error}") from error
    return {
        name: Change(difference=found[name], chance=chances[name], detectable=_detectable(found[name]))
        for name in names
    }


def usual_detectable(queries: int) -> float:
    """Points of R@n by which two strong systems must differ to be told apart on so many independent queries."""
    return 100.0 * DETECTABLE_ERRORS * sqrt(USUAL_DISCORDANCE / queries)


def human_agreement(annotations: Sequence[Annotation]) -> str | None:
    """What is known of how far people agree on a data set, told by its video ids; None where nothing is."""
    for name, pattern, agreement in _AGREEMENT:
        if annotations and all(pattern.fullmatch(annotation.video_id) for annotation in annotations):
            return f"{name}: two people who mark the same query agree by a mean IoU of {agreement}."
    return None


def plain_changes(changes: Mapping[str, Change]) -> dict[str, dict[str, object]]:
    """Changes as plain values, for JSON."""
    return {
        name: {
            "difference": change.difference.value,
            "low": change.difference.low,
            "high": change.difference.high,
            "standard_error": change.difference.standard_error,
            "p": change.chance,
            "minimum_detectable_difference": change.detectable,
            "reason": change.difference.reason,
        }
        for name, change in changes.items()
    }


def _detectable(difference: Interval) -> float | None:
    error = difference.standard_error
    return None if error is None else DETECTABLE_ERRORS * error
