"""Backbones by name, and official weights for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from vmrbench.catalog import load_catalog
from vmrbench.config.options import make_options
from vmrbench.errors import DataError, PluginError
from vmrbench.specs import BackboneSpec, Dims

KeyMap = Callable[[str], str | None]
_LISTED = 3


def build_backbone(
    name: str, options: Mapping[str, Any] | Any | None = None, *, dims: Dims, preset: str | None = None
) -> nn.Module:
    """A backbone with fresh weights.

    Args:
        name: of a backbone that a plug-in offers; a plug-in kept in a file is not looked for.
        options: option values by name over those of the preset, or a whole options object of the backbone.
        dims: widths of its input.
        preset: named options; None for the published defaults.

    Returns:
        a module with the methods of `vmrbench.protocols.Backbone`.

    Raises:
        ConfigError: no such backbone, preset or option, or a value of another type.

    Example:
        >>> model = build_backbone("moment_detr", {"slots": 5}, dims=Dims(video=64, text=32), preset="small")
        >>> model.options.slots
        5
    """
    spec: BackboneSpec = load_catalog().pick("backbone", name).spec
    if not isinstance(options, spec.options):
        options = make_options(spec, preset, options or {}, f"backbone {name!r}")
    model = spec.build(options, dims)
    # Through __dict__: a plain function is neither a parameter nor a submodule.
    model.__dict__["official_key_map"] = spec.key_map
    return model


def load_official(model: nn.Module, state_dict: Mapping[str, Tensor], key_map: KeyMap | None = None) -> None:
    """Load the weights of the official implementation; every key and shape must fit.

    Args:
        model: from `build_backbone`, with the options that the weights were trained with.
        state_dict: what the official model's `state_dict()` holds.
        key_map: official key -> ours; default is the one of the backbone's spec.

    Raises:
        PluginError: the backbone has no key map.
        DataError: keys that are unknown or missing, or tensors of another shape; nothing is loaded.
    """
    key_map = key_map or model.__dict__.get("official_key_map")
    if key_map is None:
        raise PluginError(
            f"{type(model).__name__}: no map from official keys; build it with build_backbone from a plug-in whose "
            "BackboneSpec has a key_map, or pass one"
        )
    ours = model.state_dict()
    renamed = {key: key_map(key) for key in state_dict}
    found = {new: state_dict[old] for old, new in renamed.items() if new in ours}
    problems = [
        _listed("unknown", [old for old, new in renamed.items() if new not in ours]),
        _listed("missing", [key for key in ours if key not in found]),
        _listed("of another shape", [_shapes(k, v, ours[k]) for k, v in found.items() if v.shape != ours[k].shape]),
    ]
    if any(problems):
        raise DataError(
            f"official weights of {type(model).__name__}: {'; '.join(filter(None, problems))}; "
            "build the backbone with the options and widths the weights were trained with"
        )
    model.load_state_dict(found)


def _listed(what: str, entries: list[str]) -> str:
    """Such as `2 missing ('a', 'b')`, empty where there is nothing."""
    if not entries:
        return ""
    more = ", ..." if len(entries) > _LISTED else ""
    return f"{len(entries)} {what} ({', '.join(entries[:_LISTED])}{more})"


def _shapes(key: str, found: Tensor, expected: Tensor) -> str:
    return f"{key}: found {list(found.shape)}, expected {list(expected.shape)}"
