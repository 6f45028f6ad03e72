"""From the options that an official checkpoint was trained with to ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vmrbench.errors import DataError

# Names of Moment-DETR's parser, which its descendants inherit; a backbone takes those that it has options for.
DETR_OPTIONS: Mapping[str, str] = {
    "hidden_dim": "hidden",
    "nheads": "heads",
    "enc_layers": "encoder_layers",
    "dec_layers": "decoder_layers",
    "dim_feedforward": "inner",
    "num_queries": "slots",
    "n_input_proj": "projections",
    "dropout": "dropout",
    "input_dropout": "input_dropout",
    "use_tef": "tef",
    "use_txt_pos": "text_position",
    "max_q_l": "max_tokens",
    "set_cost_span": "match.span",
    "set_cost_giou": "match.giou",
    "set_cost_class": "match.label",
    "span_loss_coef": "weights.span",
    "giou_loss_coef": "weights.giou",
    "label_loss_coef": "weights.label",
    "eos_coef": "weights.no_object",
    "lw_saliency": "saliency",
    "saliency_margin": "margin",
}
# What the descendants that are here have no code for.
DETR_ONLY: Mapping[str, Any] = {
    "pre_norm": False,
    "position_embedding": "sine",
    "span_loss_type": "l1",
    "use_video": True,
    "contrastive_align_loss": False,
}


def rename_options(
    names: Mapping[str, str], only: Mapping[str, Any] | None = None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A reader of official options, for `BackboneSpec.options_from_official`.

    Args:
        names: official name -> ours, with a dot for a dataclass inside the options; absent ones are left out.
        only: official name -> the one value that our model knows.

    Returns:
        official options -> ours, by name; raises DataError where an option has a value that is not offered.

    Example:
        >>> read = rename_options({"hidden_dim": "hidden", "set_cost_span": "match.span"}, {"pre_norm": False})
        >>> read({"hidden_dim": 256, "set_cost_span": 10, "pre_norm": False, "seed": 3})
        {'hidden': 256, 'match': {'span': 10}}
    """

    def read(official: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in (only or {}).items():
            if name in official and official[name] != value:
                raise DataError(f"was trained with {name}={official[name]!r}; this backbone knows {value!r} only")
        ours: dict[str, Any] = {}
        for name, place in names.items():
            if name in official:
                outer, _, inner = place.rpartition(".")
                (ours.setdefault(outer, {}) if outer else ours)[inner] = official[name]
        return ours

    return read
