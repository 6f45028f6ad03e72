"""Floors and probes in a sweep: their cells, their numbers, their cost, and what the report says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vmrbench.catalog import load_catalog
from vmrbench.config import load_config
from vmrbench.engine.identity_keys import probe_key, run_key, stage_keys
from vmrbench.engine.probes import ZeroedVideo
from vmrbench.engine.record import PER_QUERY, RECORD
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import PREDICTIONS, SHUFFLED
from vmrbench.engine.sweep import run_sweep
from vmrbench.errors import ConfigError, UserError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.report.summary import read_summary
from vmrbench.score.floors import floors
from vmrbench.score.submission import read_predictions
from vmrbench.store import Store, read_json, read_record, read_wall_time

SWEEP = """\
name: blind
device: cpu
seeds: [0, 1]
store: runs
report: report.md
records: records
train: {base_epochs: 1, extra_epochs: 0, batch_size: 8}
cost: {memory: false, latency_samples: 2, latency_rounds: 1, macs_shapes: 1}
datasets:
  - id: tiny
    name: simulated
    options: {profile: tacos, clip_seconds: 20.0, videos_train: 8, videos_val: 4, videos_test: 6, queries_per_video: 2}
backbones:
  - {name: moment_detr, preset: small}
  - {name: whole_video}
  - {id: window, name: constant_window, options: {metric: mIoU}}
  - {name: prior_sampler}
"""
TRIMMERS = "trimmers: [{name: all}, {name: none}]\n"
PROBES = "probes: [{name: shuffled_query}, {id: dark, name: zeroed_video}]\n"


def written(folder: Path, text: str) -> Any:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return load_config(path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, without_pictures: Callable[[], Any]) -> Any:
    config, catalog = written(tmp_path_factory.mktemp("blind"), SWEEP + TRIMMERS + PROBES), load_catalog()
    with without_pictures():
        result = run_sweep(config, catalog=catalog)
    assert dict(result.failed) == {}
    return config, {cell.id: cell for cell in config.resolve(catalog)}


def folder_of(ran: Any, cell_id: str) -> Path:
    config, cells = ran
    return Store(root=config.store).path("cells", run_key(cells[cell_id]))


def record_of(ran: Any, cell_id: str) -> dict[str, Any]:
    return read_record(folder_of(ran, cell_id) / RECORD)


def row_of(ran: Any, backbone: str, trimmer: str = "none") -> Any:
    rows = read_summary(ran[0].records / "blind.json").rows
    return next(row for row in rows if (row.backbone, row.trimmer) == (backbone, trimmer))


def test_a_floor_has_one_cell_a_seed_and_models_all_of_theirs(ran: Any) -> None:
    assert sorted(ran[1]) == sorted(
        f"tiny/{arm}/{seed}"
        for arm in ("moment_detr/all", "moment_detr/none", "whole_video/none", "window/none", "prior_sampler/none")
        for seed in (0, 1)
    )


@pytest.mark.parametrize(("backbone", "kind"), [("whole_video", "whole_video"), ("window", "constant")])
def test_a_floor_scores_what_is_computed_from_annotations_alone(ran: Any, backbone: str, kind: str) -> None:
    cell = ran[1][f"tiny/{backbone}/none/0"]
    train, test = (split_of(cell, name).annotations for name in ("train", "test"))

    expected = getattr(floors(train, test), kind)["mIoU"]

    # Spans go through float32.
    assert record_of(ran, cell.id)["scores"]["mIoU"]["value"] == pytest.approx(expected, abs=1e-3)


def test_every_seed_is_another_draw_from_the_prior(ran: Any) -> None:
    tables = [pd.read_parquet(folder_of(ran, f"tiny/prior_sampler/none/{seed}") / PER_QUERY) for seed in (0, 1)]

    assert not np.array_equal(tables[0]["mIoU"], tables[1]["mIoU"])


@pytest.mark.parametrize("backbone", ["whole_video", "window", "prior_sampler"])
def test_nothing_is_encoded_or_kept_for_a_floor_and_that_is_counted(ran: Any, backbone: str) -> None:
    record = record_of(ran, f"tiny/{backbone}/none/0")
    stages = record["cost"]["macs_cold"]

    assert {name: (entry["value"], entry["basis"]) for name, entry in stages.items()} == {
        "text": (0.0, "counted"),
        "decode": (None, "not_macs"),
        "index": (0.0, "counted"),
        "trim": (0.0, "counted"),
        "encode": (0.0, "counted"),
        "backbone": (0.0, "counted"),
        "post": (None, "not_macs"),
    }
    assert (record["diagnostics"]["kept_clips_mean"], record["parameters"]) == (0.0, 0)
    assert not [stamp for stamp in record["stamps"] if "UNTRAINED" in stamp]


def test_a_floor_is_the_same_under_every_probe(ran: Any) -> None:
    for probe in record_of(ran, "tiny/prior_sampler/none/0")["probes"].values():
        assert {name: entry["value"] for name, entry in probe["differences"].items()} == dict.fromkeys(
            VMRBENCH_V1.metric_names, 0.0
        )


def test_the_shuffled_query_is_that_of_the_diagnostics(ran: Any) -> None:
    config, cells = ran
    cell = cells["tiny/moment_detr/all/1"]
    stored = Store(root=config.store).path("predict", stage_keys(cell, "any").predict)

    scores = record_of(ran, cell.id)["probes"]["shuffled_query"]["scores"]

    expected = read_json(stored / SHUFFLED)
    assert {name: entry["value"] for name, entry in scores.items()} == pytest.approx(
        {name: expected[name] for name in scores}
    )


def test_the_difference_under_a_probe_is_paired_by_query(ran: Any) -> None:
    table = pd.read_parquet(folder_of(ran, "tiny/moment_detr/none/0") / PER_QUERY)
    found = record_of(ran, "tiny/moment_detr/none/0")["probes"]["dark"]

    change = table["mIoU under dark"] - table["mIoU"]

    assert found["scores"]["mIoU"]["value"] == pytest.approx(table["mIoU under dark"].mean())
    assert found["differences"]["mIoU"]["value"] == pytest.approx(change.mean())
    assert found["differences"]["mIoU"]["low"] <= change.mean() <= found["differences"]["mIoU"]["high"]


def test_a_zeroed_video_keeps_query_times_and_annotations(ran: Any) -> None:
    split = split_of(ran[1]["tiny/moment_detr/all/0"], "test", finer=2)
    dark = ZeroedVideo(split)

    sample, own = dark[0], split[0]

    assert sample.index is not None
    assert sample.finer is not None
    assert [float(x.abs().sum()) for x in (sample.clips, sample.index, sample.finer.clips)] == [0.0, 0.0, 0.0]
    assert own.clips.abs().sum() > 0
    assert (sample.query.equal(own.query), sample.clip_end.equal(own.clip_end)) == (True, True)
    assert (len(dark), dark.annotations) == (len(split), split.annotations)


def test_every_arm_is_held_against_every_floor_by_query_and_seed(ran: Any) -> None:
    ours, theirs = (
        [pd.read_parquet(folder_of(ran, f"tiny/{arm}/{seed}") / PER_QUERY)["mIoU"].to_numpy() for seed in (0, 1)]
        for arm in ("moment_detr/all", "prior_sampler/none")
    )
    row = row_of(ran, "moment_detr", "all")

    assert list(row.floors) == ["whole_video", "window", "prior_sampler"]
    assert row.floors["prior_sampler"]["mIoU"].value == pytest.approx(np.mean(ours) - np.mean(theirs), abs=1e-3)
    assert row.floors["prior_sampler"]["mIoU"].low is not None
    assert row_of(ran, "window").floors == {}


def test_the_time_of_predicting_holds_that_of_the_probes(ran: Any) -> None:
    config, cells = ran
    cell, store = cells["tiny/moment_detr/all/0"], Store(root=config.store)
    predict = stage_keys(cell, "any machine").predict
    keys = [predict, *(probe_key(probe, predict) for probe in cell.probes)]

    each = [read_wall_time(store.path("predict", key)).value for key in keys]

    assert len(each) == 3
    assert record_of(ran, cell.id)["wall_seconds"]["predict"]["value"] == pytest.approx(sum(each))


def test_the_report_shows_floors_and_probes(ran: Any) -> None:
    text = ran[0].report.read_text()

    assert "### Against query-blind floors" in text
    assert "R1@0.5 − `whole_video` |" in " ".join(text.split())
    assert "### Probes" in text
    assert "no multiply-adds were counted, so there is no ratio" in text
    assert "moment drawn from train, expected" in text
    selection = text.partition("#### What was kept")[2].partition("###")[0]
    assert "prior_sampler" not in selection


def test_probes_change_no_key_but_that_of_the_record(ran: Any, tmp_path: Path) -> None:
    catalog = load_catalog()
    plain = {cell.id: cell for cell in written(tmp_path, SWEEP + TRIMMERS).resolve(catalog)}

    for cell_id, cell in ran[1].items():
        assert stage_keys(cell, "m") == stage_keys(plain[cell_id], "m")
        assert run_key(cell) != run_key(plain[cell_id])


def test_predictions_under_a_probe_are_stored_beside_the_others(ran: Any) -> None:
    config, cells = ran
    cell = cells["tiny/moment_detr/all/0"]
    predict = stage_keys(cell, "any").predict

    folder = Store(root=config.store).path("predict", probe_key(cell.probes[1], predict))

    assert len(read_predictions(folder / PREDICTIONS)) == 12


def test_a_floor_without_an_untrimmed_arm_is_a_mistake(tmp_path: Path) -> None:
    config = written(tmp_path, SWEEP + "trimmers: [{name: all}]\n")

    with pytest.raises(
        ConfigError, match=r"backbones\[1\].*'whole_video' reads no features.*list one that does: 'none'"
    ):
        config.resolve(load_catalog())


def test_two_probes_of_one_id_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"probes\[1\]: the id 'zeroed_video' is taken by probes\[0\]"):
        written(tmp_path, SWEEP + TRIMMERS + "probes: [{name: zeroed_video}, {name: zeroed_video}]\n")


OWN = """\
from dataclasses import dataclass

import torch
from torch import nn

from vmrbench import hookimpl
from vmrbench.specs import BackboneSpec, ProbeSpec
from vmrbench.types import AxisMoments


@dataclass(frozen=True, kw_only=True)
class Options:
    pass


class Middle(nn.Module):
    def forward(self, batch):
        count = batch.lengths[:, None].float()
        shown = not batch.clips.is_meta and (batch.clips.any() or batch.query.any())
        assert not shown, "features were shown"
        return torch.stack([count / 4, 3 * count / 4], -1)

    def loss(self, outputs, batch):
        return {}

    def predict(self, outputs, batch):
        return AxisMoments(spans=outputs, scores=torch.ones_like(outputs[..., 0]))


class Half:
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split) // 2

    def __getitem__(self, place):
        return self.split[place]

    @property
    def annotations(self):
        return self.split.annotations[: len(self)]


@hookimpl
def vmr_backbones():
    yield BackboneSpec(name="middle", summary="the middle half", source="a test", options=Options,
        build=lambda options, dims: Middle(), learns="nothing", reads_features=False)


@hookimpl
def vmr_probes():
    yield ProbeSpec(name="half", summary="half of the samples", source="a test", options=Options,
        change=lambda options, split, seed: Half(split))
"""


def test_a_floor_of_ones_own_runs_and_is_shown_no_features(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    text = SWEEP.partition("backbones:")[0].replace("[0, 1]", "[0]")
    config = written(tmp_path, text + "plugins: [own.py]\nbackbones: [{name: middle}]\n" + TRIMMERS)

    result = run_sweep(config, catalog=load_catalog(config.plugins))

    assert result.done == ("tiny/middle/none/0",)
    summary = json.loads((config.records / "blind.json").read_text())
    assert [row["query_blind"] for row in summary["rows"]] == [True]


def test_a_probe_that_drops_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    text = SWEEP.partition("backbones:")[0].replace("[0, 1]", "[0]")
    more = "plugins: [own.py]\nbackbones: [{name: middle}]\nprobes: [{name: half}]\n"
    config = written(tmp_path, text + more + TRIMMERS)

    with pytest.raises(UserError, match=r"own\.py: probe 'half' gave 6 samples for 12, or other annotations"):
        run_sweep(config, catalog=load_catalog(config.plugins))
