"""From specs and options to an arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from vmrbench.config.settings import WindowConfig
from vmrbench.engine.arm import Arm
from vmrbench.errors import DataError, PluginError
from vmrbench.protocols import DatasetFacts, SharesEncoder
from vmrbench.specs import Apply, BackboneSpec, Dims, TrimDims, TrimmerSpec
from vmrbench.trim.fill import Fill, FineOnly, build_fill
from vmrbench.trim.index_groups import chosen_groups, group_channels


def index_groups(facts: DatasetFacts, options: Any) -> dict[str, int]:
    """Name and width of the index groups that an arm reads: all, or those in the option `index_groups` of its trimmer.

    Raises:
        ConfigError: the data set has no group of that name.
    """
    widths = {name: group.width for name, group in facts.index.items()}
    return chosen_groups(widths, getattr(options, "index_groups", None))


def input_width(facts: DatasetFacts, trimmer: tuple[TrimmerSpec, Any], fill_policy: str) -> int:
    """Width of the rows that the backbone of an arm reads. trimmer: spec and options."""
    return _build_fill(facts, trimmer, fill_policy, 0).width


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
    train_ratios: Sequence[float] = (),
) -> Arm:
    """A new arm with its own initialisation.

    Args:
        facts: widths of the data set's features.
        backbone, trimmer: spec and options.
        fill_policy: what stands in for clips that are not kept; not used by a trimmer of input `fine`.
        seed: of the initialisation. Fill, trimmer and backbone draw from generators of their own, so that arms which
            share a backbone start from the same backbone.
        apply, windows, freeze_backbone, train_ratios: see `Arm`.

    Raises:
        ConfigError: the trimmer's options ask for what the data set does not have.
        DataError: the arm needs index features and the data set has none.
        PluginError: the backbone declares `encode` and lacks its methods.
    """
    fill = _build_fill(facts, trimmer, fill_policy, seed)
    with _seeded(seed):
        module = backbone[0].build(backbone[1], Dims(video=fill.width, text=facts.text.width))
    embedding = _width_of_lent_encoder(module, backbone[0])
    with _seeded(seed + 1):
        selector = trimmer[0].build(trimmer[1], _trim_dims(facts, trimmer, fill.width, embedding))
    channels = _index_channels(facts, trimmer[1])
    return Arm(
        selector,
        fill,
        module,
        reads_labels=trimmer[0].reads_labels,
        index_channels=channels,
        apply=apply,
        windows=windows,
        freeze_backbone=freeze_backbone,
        train_ratios=train_ratios,
        reads_features=backbone[0].reads_features,
    )


def _trim_dims(facts: DatasetFacts, trimmer: tuple[TrimmerSpec, Any], rows: int, embedding: int | None) -> TrimDims:
    spec, groups = trimmer[0], index_groups(facts, trimmer[1])
    if spec.needs_index and not groups:
        raise DataError(
            f"trimmer {spec.name!r} chooses clips by index features, and the data set has none; "
            "name an index source in the data set"
        )
    return TrimDims(
        index=sum(groups.values()),
        text=facts.text.width,
        rows=rows,
        embedding=embedding,
        fine=facts.clips.width,
        index_groups=groups,
    )


def _index_channels(facts: DatasetFacts, options: Any) -> tuple[slice, ...] | None:
    """Where the groups lie that an arm reads; None where it reads the whole index."""
    groups = index_groups(facts, options)
    if len(groups) == len(facts.index):
        return None
    widths = {name: group.width for name, group in facts.index.items()}
    return tuple(group_channels(widths, name) for name in groups)


def _width_of_lent_encoder(module: nn.Module, spec: BackboneSpec) -> int | None:
    """None where the backbone lends none."""
    if isinstance(module, SharesEncoder):
        return cast(SharesEncoder, module).embedding_width
    if "encode" in spec.capabilities:
        raise PluginError(
            f"backbone {spec.name!r}: declares 'encode' but lacks encode_query, encode or embedding_width; "
            "see vmrbench.protocols.SharesEncoder"
        )
    return None


def _build_fill(facts: DatasetFacts, trimmer: tuple[TrimmerSpec, Any], policy: str, seed: int) -> Fill:
    spec, options = trimmer
    if spec.input == "fine":
        return FineOnly(facts.clips.width)
    with _seeded(seed + 2):
        return build_fill(policy, facts.clips.width, sum(index_groups(facts, options).values()))


class _seeded:  # noqa: N801  # reads as a verb
    """Draw from a seed inside, and leave the generator outside as it was."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._before = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *exc: object) -> None:
        torch.set_rng_state(self._before)
