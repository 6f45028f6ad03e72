"""From the checkpoint of an official implementation to a weight file of ours: options, widths, every key and shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vmrbench.catalog import Catalog
from vmrbench.checkpoints import Checkpoint, read_checkpoint
from vmrbench.config.options import make_options, merged
from vmrbench.errors import DataError, PluginError
from vmrbench.identity import canonical
from vmrbench.models import load_official
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.weight_files import Provenance, sha256_of, write_weight_file

Shapes = Mapping[str, tuple[int, ...]]
# Widths that a backbone is built for to see which of its shapes depend on them.
PROBE, WIDER = 16, 32


@dataclass(frozen=True, kw_only=True)
class Imported:
    """path: the file written; provenance: what it says of itself; parameters: how many numbers are learned."""

    path: Path
    provenance: Provenance
    parameters: int


def import_weights(
    catalog: Catalog,
    backbone: str,
    source: Path,
    out: Path,
    *,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Imported:
    """Read a checkpoint, check it against the backbone, and write it as a weight file.

    Options are the backbone's defaults, then the preset's, then what the checkpoint says where the backbone's spec can
    read that, then the overrides. Widths are read off the shapes.

    Args:
        catalog: offers the backbone.
        backbone: its name.
        source: the official checkpoint.
        out: the file that is written.
        preset: named options.
        overrides: options by name.

    Raises:
        ConfigError: no such backbone, preset or option.
        PluginError: the backbone has no map from official keys.
        DataError: the file cannot be read, or does not fit; nothing is written.
    """
    spec: BackboneSpec = catalog.pick("backbone", backbone).spec
    if spec.key_map is None:
        raise PluginError(f"backbone {backbone!r} has no map from official keys: its official weights cannot be read")
    checkpoint = read_checkpoint(source)
    options = _options(spec, preset, checkpoint, overrides or {}, source)
    video, text = infer_widths(spec, options, checkpoint.state)
    model = spec.build(options, Dims(video=video or PROBE, text=text or PROBE))
    try:
        load_official(model, checkpoint.state, spec.key_map)
    except DataError as error:
        unread = checkpoint.options and spec.options_from_official is None
        hint = f"; it holds options, which backbone {backbone!r} cannot read: give them by --set" if unread else ""
        raise DataError(f"{source}: {error}{hint}") from error
    provenance = Provenance(
        backbone=backbone,
        options=json.loads(canonical(options)),
        preset=preset,
        video=video,
        text=text,
        source=source.name,
        source_sha256=sha256_of(source),
        part=checkpoint.part,
    )
    write_weight_file(out, model.state_dict(), provenance)
    return Imported(path=out, provenance=provenance, parameters=sum(p.numel() for p in model.parameters()))


def infer_widths(spec: BackboneSpec, options: Any, state: Mapping[str, Tensor]) -> tuple[int | None, int | None]:
    """Widths of clips and query tokens that official weights were made for; None where no shape depends on one.

    Builds the backbone three times and looks at which shapes follow which width.
    """
    assert spec.key_map is not None
    names = {official: spec.key_map(official) for official in state}
    found = {ours: tuple(state[official].shape) for official, ours in names.items() if ours is not None}
    plain = _shapes(spec.build(options, Dims(video=PROBE, text=PROBE)))
    video = _width(found, plain, _shapes(spec.build(options, Dims(video=WIDER, text=PROBE))))
    return video, _width(found, plain, _shapes(spec.build(options, Dims(video=PROBE, text=WIDER))))


def _width(found: Shapes, plain: Shapes, wider: Shapes) -> int | None:
    """The width at which the shapes that change between `plain` and `wider` become those that were found."""
    for name in found.keys() & plain.keys():
        changed = [axis for axis, size in enumerate(plain[name]) if wider[name][axis] != size]
        if len(changed) == 1 and len(found[name]) == len(plain[name]):
            (axis,) = changed
            a_step = (wider[name][axis] - plain[name][axis]) // (WIDER - PROBE)
            width = PROBE + (found[name][axis] - plain[name][axis]) // a_step
            if width > 0:
                return width
    return None


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _options(
    spec: BackboneSpec, preset: str | None, checkpoint: Checkpoint, overrides: Mapping[str, Any], source: Path
) -> Any:
    official: Mapping[str, Any] = {}
    if spec.options_from_official is not None and checkpoint.options:
        try:
            official = spec.options_from_official(checkpoint.options)
        except DataError as error:
            raise DataError(f"{source}: {error}") from error

    def where(key: str) -> str:
        if key in overrides:
            return f"--set {key}"
        return f"{source}: options of backbone {spec.name!r}{'.' if key else ''}{key}"

    return make_options(spec, preset, merged(official, overrides), f"backbone {spec.name!r}", key_where=where)
