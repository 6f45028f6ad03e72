"""A tiny sweep on simulated data: a run of it that several tests read, and new ones where a test changes something."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.config import Cell, SweepConfig, load_config
from vmrbench.engine.identity_keys import StageKeys, run_key, stage_keys
from vmrbench.engine.record import RECORD
from vmrbench.engine.stages import make_base, make_train
from vmrbench.engine.sweep import SweepResult, run_sweep
from vmrbench.store import Store, read_record

SWEEP = """\
device: cpu
train: {base_epochs: 1, extra_epochs: 1, batch_size: 8, eval_batch_size: 5}
cost: {memory: false, latency_samples: 2, latency_rounds: 1, macs_shapes: 1}
datasets:
  - id: tiny
    name: simulated
    options: {profile: tacos, clip_seconds: 20.0, videos_train: 8, videos_val: 4, videos_test: 6, queries_per_video: 2}
backbones:
  - {name: moment_detr, preset: small, options: {encoder_layers: 1, decoder_layers: 1}}
trimmers:
"""
ARMS = {
    "none": "{name: none}",
    "all": "{name: all}",
    "zero": "{name: zero}",
    "uniform": "{name: uniform, options: {keep_ratio: 0.5}}",
    "random": "{name: random, options: {keep_ratio: 0.5}}",
    "spotvmr": "{name: spotvmr, options: {keep_ratio: 0.5, steps: 2}}",
    "exact": "{id: exact, name: spotvmr, preset: exact, options: {keep_ratio: 0.5, steps: 2}}",
    "drawn": "{id: drawn, name: spotvmr, options: {keep_ratio: 0.5, steps: 2, selection: stochastic}}",
    "gathered": "{id: gathered, name: uniform, apply: gather, options: {keep_ratio: 0.5}}",
    "supervised": "{id: supervised, name: supervised_topk, options: {keep_ratio: 0.5, private_width: 16}}",
    "fitted": "{id: fitted, name: cosine_topk, preset: ridge, options: {keep_ratio: 0.5}}",
    "bare": "{id: bare, name: spotvmr, options: {keep_ratio: 0.5, steps: 2, index_groups: [Motion]}}",
    "held": "{id: held, name: uniform, fill: hold, options: {keep_ratio: 0.5}}",
    "adapted": "{id: adapted, name: uniform, fill: adapter, options: {keep_ratio: 0.5}}",
}


# Not among those that are run for every test.
MORE_ARMS = {
    "whole": "{id: whole, name: uniform, apply: gather, options: {keep_ratio: 1.0}}",
    "drawn_gathered": "{id: drawn_gathered, name: spotvmr, apply: gather, options: {keep_ratio: 0.5, steps: 2}}",
    "frozen": "{id: frozen, name: spotvmr, fill: adapter, freeze_backbone: true, options: {keep_ratio: 0.5, steps: 2}}",
    "frozen_adapter": "{id: frozen_adapter, name: uniform, fill: adapter, freeze_backbone: true}",
    "oracle_window": "{id: oracle_window, name: oracle, apply: windows, options: {keep_ratio: 0.5}}",
    "two_windows": "{id: two_windows, name: spotvmr, preset: exact, options: {keep_ratio: 0.5, steps: 2}, "
    "apply: windows, windows: {count: 2, finer: 4, nms: 0.9}}",
    "spans": "{id: spans, name: two_stage, options: {keep_ratio: 0.5, private_width: 16}}",
    "varied": "{id: varied, name: supervised_topk, adaptive_budget: true, "
    "options: {keep_ratio: 0.5, private_width: 16}}",
    "varied_gathered": "{id: varied_gathered, name: supervised_topk, adaptive_budget: true, apply: gather, "
    "options: {keep_ratio: 0.5, private_width: 16}}",
    "frozen_still": "{id: frozen_still, name: uniform, freeze_backbone: true}",
}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep file in a folder of its own, and its cells by the id of their trimmer."""

    config: SweepConfig
    catalog: Catalog
    cells: dict[str, Cell]
    without_pictures: Callable[[], AbstractContextManager[None]]

    @property
    def store(self) -> Store:
        return Store(root=self.config.store)

    def run(self) -> SweepResult:
        with self.without_pictures():
            return run_sweep(self.config, catalog=self.catalog)

    def train(self) -> None:
        """Trains and does nothing else."""
        for arm, cell in self.cells.items():
            keys = self.keys(arm)
            self.store.ensure("base", keys.base, lambda folder: make_base(cell, folder, keys.base))  # noqa: B023
            self.store.ensure("train", keys.train, lambda folder: make_train(cell, self.store, folder, keys))  # noqa: B023

    def keys(self, arm: str) -> StageKeys:
        return stage_keys(self.cells[arm], "any machine")

    def folder(self, stage: str, arm: str) -> Path:
        return self.store.path(stage, getattr(self.keys(arm), stage))  # type: ignore[arg-type]

    def record(self, arm: str) -> dict[str, Any]:
        return read_record(self.store.path("cells", run_key(self.cells[arm])) / RECORD)


@pytest.fixture(scope="session")
def offers() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def make_sweep(
    offers: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
    without_pictures: Callable[[], AbstractContextManager[None]],
) -> Callable[..., Sweep]:
    """Writes a sweep of the arms named, with values set; runs nothing."""

    def make(*arms: str, sets: tuple[str, ...] = (), folder: Path | None = None) -> Sweep:
        path = (folder or tmp_path_factory.mktemp("sweep")) / "sweep.yaml"
        path.write_text(SWEEP + "".join(f"  - {(ARMS | MORE_ARMS)[arm]}\n" for arm in arms))
        config = load_config(path, sets)
        cells = {cell.trimmer.id: cell for cell in config.resolve(offers)}
        return Sweep(config=config, catalog=offers, cells=cells, without_pictures=without_pictures)

    return make


@pytest.fixture(scope="session")
def finished(make_sweep: Callable[..., Sweep]) -> Sweep:
    """Every arm but one, run once; tests read its store and change nothing."""
    sweep = make_sweep(*(arm for arm in ARMS if arm != "exact"))
    result = sweep.run()
    assert dict(result.failed) == {}
    return sweep
