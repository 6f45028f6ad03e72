"""Scores in and out of the training distribution: one system on two test splits, and the gap between them.

Source: Yuan et al., A Closer Look at Temporal Sentence Grounding in Videos: Dataset and Metric, 2021 (the splits
`test_iid` and `test_ood` of Charades-CD and ActivityNet-CD), restated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vmrbench.score.floors import Floors
from vmrbench.score.intervals import Interval, unpaired_difference
from vmrbench.score.per_query import SOURCE
from vmrbench.score.result import ScoreResult


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """A system on the split like train (iid) and on the one unlike it (ood).

    iid, ood: scores of either; gaps: ood less iid by metric, in its unit, negative where the system is worse out of the
    distribution; floors: on the ood split, fitted as those of the iid split; shared_sources: source videos that
    are in both splits, which the interval treats as different ones.
    """

    iid: ScoreResult
    ood: ScoreResult
    gaps: Mapping[str, Interval]
    iid_floors: Floors
    floors: Floors
    shared_sources: int

    def to_json(self) -> dict[str, Any]:
        """Plain values: scores and floors of the ood split, and the gaps to the iid split."""
        return {
            **self.ood.to_json(),
            "floors": asdict(self.floors),
            "gaps": {name: asdict(gap) for name, gap in self.gaps.items()},
            "floor_gaps": {
                name: {metric: there - here for metric, (here, there) in values.items()}
                for name, values in floor_pairs(self.iid_floors, self.floors).items()
            },
            "shared_source_videos": self.shared_sources,
        }


def gaps_between(iid: ScoreResult, ood: ScoreResult, iid_floors: Floors, ood_floors: Floors) -> Gaps:
    """The gap of every metric that both results have."""
    names = [name for name in iid.directions if name in ood.directions]
    shared = set(iid.per_query[SOURCE]) & set(ood.per_query[SOURCE])
    return Gaps(
        iid=iid,
        ood=ood,
        gaps=unpaired_difference(ood.per_query, iid.per_query, names, iid.protocol),
        iid_floors=iid_floors,
        floors=ood_floors,
        shared_sources=len(shared),
    )


def floor_pairs(iid: Floors, ood: Floors) -> dict[str, dict[str, tuple[float, float]]]:
    """By floor and metric its score on both splits; floors that either lacks are left out."""
    kinds: Sequence[tuple[str, Mapping[str, float] | None, Mapping[str, float] | None]] = [
        ("constant window", iid.constant, ood.constant),
        ("moment drawn from train, expected", iid.prior, ood.prior),
        ("whole video", iid.whole_video, ood.whole_video),
        ("uniformly random window, expected", iid.random, ood.random),
    ]
    return {
        name: {metric: (here[metric], there[metric]) for metric in here}
        for name, here, there in kinds
        if here is not None and there is not None
    }
