"""How a cell is trained: which of the places that say something about it goes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vmrbench.config.options import fill_dataclass
from vmrbench.config.places import KeyPath
from vmrbench.config.settings import TrainConfig
from vmrbench.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from vmrbench.config.cells import BackboneEntry
    from vmrbench.config.sweep import SweepConfig
    from vmrbench.specs import BackboneSpec

AS_PRESET = "train_as_preset"


def resolve_training(config: SweepConfig, entry: BackboneEntry, backbone: int, trimmer: int) -> TrainConfig:
    """Defaults, top-level `train`, the preset's where `train_as_preset` asks for it, `train` of backbone, of trimmer.

    Args:
        config: a checked sweep.
        entry: the backbone.
        backbone, trimmer: positions of the entries in the file.

    Raises:
        ConfigError: the preset says nothing about training, or what it says is wrong; a step without its epoch.
    """
    data, at = config.document.data, ("backbones", backbone)
    parts: list[tuple[KeyPath, Mapping[str, Any]]] = [(("train",), data.get("train", {}))]
    if config.file.backbones[backbone].train_as_preset:
        asked = (*at, AS_PRESET)
        parts.append((asked, training_of_preset(entry.offer.spec, entry.preset, config.document.where(asked))))
    for kind, number in (at, ("trimmers", trimmer)):
        parts.append(((kind, number, "train"), data[kind][number].get("train", {})))
    origin = {key: (*path, key) for path, values in parts for key in values}
    merged = {key: value for _, values in parts for key, value in values.items()}

    def where(key: str) -> str:
        return config.document.where(origin.get(key, ("train",)))

    train: TrainConfig = fill_dataclass(TrainConfig, merged, where)
    if train.schedule == "step" and train.drop_epoch is None:
        raise ConfigError(f"{where('schedule')}: 'step' needs drop_epoch, the epoch after which the rate is a tenth")
    return train


def training_of_preset(spec: BackboneSpec, preset: str | None, where: str) -> Mapping[str, Any]:
    """The training settings of a preset; without one, of the preset that changes no option.

    Raises:
        ConfigError: there are none.
    """
    if preset is None:
        preset = next((name for name, options in spec.presets.items() if not options), None)
    if preset is not None and preset in spec.training:
        return spec.training[preset]
    found = "no preset is named, and the defaults have" if preset is None else f"preset {preset!r} of {spec.name!r} has"
    hint = did_you_mean(preset or "", spec.training) if spec.training else ""
    raise ConfigError(f"{where}: {found} no training settings; write them under 'train'{hint}")
