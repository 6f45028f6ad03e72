"""From specs and options to an arm."""

from __future__ import annotations

from typing import Any, cast

import torch

from vmrbench.config.settings import WindowConfig
from vmrbench.engine.arm import Arm
from vmrbench.protocols import DatasetFacts, SharesEncoder
from vmrbench.specs import Apply, BackboneSpec, Dims, TrimDims, TrimmerSpec
from vmrbench.trim.fill import Adapter, ConcatZero, FineOnly, build_fill


def index_width(facts: DatasetFacts) -> int:
    """Width of all index groups together; 0 where there is no index."""
    return sum(group.width for group in facts.index.values())


def input_width(facts: DatasetFacts, spec: TrimmerSpec, fill_policy: str) -> int:
    """Width of the rows that the backbone of an arm reads."""
    return _build_fill(facts, spec, fill_policy, 0).width


def build_arm(
    facts: DatasetFacts,
    backbone: tuple[BackboneSpec, Any],
    trimmer: tuple[TrimmerSpec, Any],
    fill_policy: str,
    seed: int,
    *,
    apply: Apply = "fill",
    windows: WindowConfig | None = None,
    freeze_backbone: bool = False,
) -> Arm:
    """A new arm with its own initialisation.

    Args:
        facts: widths of the data set's features.
        backbone, trimmer: spec and options.
        fill_policy: what stands in for clips that are not kept; not used by a trimmer of input `fine`.
        seed: of the initialisation. Fill, trimmer and backbone draw from generators of their own, so that arms which
            share a backbone start from the same backbone.
        apply, windows, freeze_backbone: see `Arm`.

    Raises:
        DataError: the arm needs index features and the data set has none.
    """
    fill = _build_fill(facts, trimmer[0], fill_policy, seed)
    with _seeded(seed):
        module = backbone[0].build(backbone[1], Dims(video=fill.width, text=facts.text.width))
    embedding = cast(SharesEncoder, module).embedding_width if isinstance(module, SharesEncoder) else None
    dims = TrimDims(index=index_width(facts), text=facts.text.width, rows=fill.width, embedding=embedding)
    with _seeded(seed + 1):
        selector = trimmer[0].build(trimmer[1], dims)
    return Arm(
        selector,
        fill,
        module,
        reads_labels=trimmer[0].reads_labels,
        apply=apply,
        windows=windows,
        freeze_backbone=freeze_backbone,
    )


def _build_fill(facts: DatasetFacts, spec: TrimmerSpec, policy: str, seed: int) -> FineOnly | ConcatZero | Adapter:
    if spec.input == "fine":
        return FineOnly(facts.clips.width)
    with _seeded(seed + 2):
        return build_fill(policy, facts.clips.width, index_width(facts))


class _seeded:  # noqa: N801  # reads as a verb
    """Draw from a seed inside, and leave the generator outside as it was."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._before = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *exc: object) -> None:
        torch.set_rng_state(self._before)
