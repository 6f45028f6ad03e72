"""Probes: the reported split predicted once more with inputs that should matter changed.

Source: Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment Retrieval, BMVC 2020,
restated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vmrbench import hookimpl
from vmrbench.engine.probes import ShuffledQueries, ZeroedVideo
from vmrbench.option_types import CountOrZero
from vmrbench.specs import ProbeSpec

_SOURCE = "Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment Retrieval, BMVC 2020"


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A probe without options."""


@dataclass(frozen=True, kw_only=True)
class ShuffleOptions:
    """seed: of the shuffle, added to the cell's; that of the diagnostics of every cell with 0."""

    seed: CountOrZero = 0


@hookimpl
def vmr_probes() -> Iterable[ProbeSpec]:
    """Offer the probes."""
    yield ProbeSpec(
        name="shuffled_query",
        summary="every query is that of a sample of another video; the truth stays",
        source=_SOURCE,
        options=ShuffleOptions,
        change=lambda options, split, seed: ShuffledQueries(split, seed + options.seed),
    )
    yield ProbeSpec(
        name="zeroed_video",
        summary="expensive features and index of every video are zero; times and query stay",
        source=_SOURCE,
        options=NoOptions,
        change=lambda options, split, seed: ZeroedVideo(split),
    )
