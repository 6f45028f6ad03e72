"""benchmarks.yaml: its schema, how it is read, and the cells it stands for."""

from __future__ import annotations

from vmrbench.config.cells import BackboneEntry, Cell, DatasetEntry, TrimmerEntry
from vmrbench.config.settings import CostConfig, TrainConfig
from vmrbench.config.sweep import SweepConfig, load_config

__all__ = [
    "BackboneEntry",
    "Cell",
    "CostConfig",
    "DatasetEntry",
    "SweepConfig",
    "TrainConfig",
    "TrimmerEntry",
    "load_config",
]
