"""A sweep on a data set with two test splits, as Charades-CD publishes it: one training, both splits, the gap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vmrbench.catalog import load_catalog
from vmrbench.config import load_config
from vmrbench.engine.identity_keys import ood_key, run_key, stage_keys
from vmrbench.engine.record import PER_QUERY, PER_QUERY_OOD, RECORD
from vmrbench.engine.stages import PREDICTIONS
from vmrbench.engine.sweep import run_sweep
from vmrbench.errors import UserError
from vmrbench.report.summary import read_summary
from vmrbench.score.submission import read_predictions
from vmrbench.store import Store, read_record

SWEEP = """\
name: gaps
device: cpu
seeds: [0, 1]
store: runs
report: report.md
records: records
train: {base_epochs: 1, extra_epochs: 0, batch_size: 8}
cost: {memory: false, latency_samples: 0, macs_shapes: 1}
datasets:
  - id: cd
    name: jsonl
    options: {train: charades_train.json, val: charades_val.json, test: charades_test_iid.json, OOD}
backbones: [{name: moment_detr, preset: small}, {name: constant_window, options: {metric: mIoU}}, {name: prior_sampler}]
trimmers: [{name: none}]
"""


def split(path: Path, prefix: str, windows: list[list[float]]) -> None:
    """Two queries of one video a window, 40 s long."""
    document = {
        f"{prefix}{place}": {
            "timestamps": [window, window],
            "framestamps": [[round(16 * edge) for edge in window]] * 2,
            "decode_fps": 16.0,
            "video_fps": -1.0,
            "sentences": ["person sits on the floor", "person opens a door"],
            "encoded_sentences": [[1, 44], [1, 29]],
            "video_duration": 40.0,
        }
        for place, window in enumerate(windows)
    }
    path.write_text(json.dumps(document), encoding="utf-8")


def sweep(folder: Path, ood: str) -> Any:
    early, half, late = [0.0, 10.0], [0.0, 20.0], [30.0, 40.0]
    split(folder / "charades_train.json", "T", [early] * 4)
    split(folder / "charades_val.json", "V", [early] * 2)
    split(folder / "charades_test_iid.json", "I", [early, early, half])
    split(folder / "charades_test_ood.json", "O", [late, late, late, early])
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.replace("OOD", ood))
    return load_config(path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, without_pictures: Callable[[], Any]) -> Any:
    config, catalog = sweep(tmp_path_factory.mktemp("cd"), "test_ood: charades_test_ood.json"), load_catalog()
    with without_pictures():
        assert dict(run_sweep(config, catalog=catalog).failed) == {}
    return config, {cell.id: cell for cell in config.resolve(catalog)}


def folder_of(ran: Any, cell_id: str) -> Path:
    return Store(root=ran[0].store).path("cells", run_key(ran[1][cell_id]))


def test_a_floor_and_its_gap_are_those_worked_out_by_hand(ran: Any) -> None:
    found = read_record(folder_of(ran, "cd/constant_window/none/0") / RECORD)

    # The window is [0, 10] s: IoU 1, 1 and 0.5 in the distribution; 0, 0, 0 and 1 out of it.
    assert found["scores"]["mIoU"]["value"] == pytest.approx(100 * 2.5 / 3, abs=1e-3)
    assert found["ood"]["scores"]["mIoU"]["value"] == pytest.approx(25.0, abs=1e-3)
    gap = found["ood"]["gaps"]["mIoU"]
    assert gap["value"] == pytest.approx(25.0 - 100 * 2.5 / 3, abs=1e-3)
    assert (gap["n"], gap["n_clusters"]) == (6 + 8, 3 + 4)
    assert gap["low"] < gap["value"] < gap["high"]


def test_both_splits_are_predicted_from_one_training(ran: Any) -> None:
    config, cells = ran
    store = Store(root=config.store)
    keys = stage_keys(cells["cd/moment_detr/none/0"], "any")

    there = read_predictions(store.path("predict", ood_key(keys.predict)) / PREDICTIONS)
    here = read_predictions(store.path("predict", keys.predict) / PREDICTIONS)

    assert ({p.sample_id[0] for p in there}, {p.sample_id[0] for p in here}) == ({"O"}, {"I"})
    assert (len(there), len(here)) == (8, 6)
    assert len(store.keys("train")) == len(cells)


def test_a_row_has_the_gap_of_its_seed_means(ran: Any) -> None:
    rows = read_summary(ran[0].records / "gaps.json").rows
    row = next(row for row in rows if row.backbone == "prior_sampler")
    means = [
        [pd.read_parquet(folder_of(ran, f"cd/prior_sampler/none/{seed}") / name)["mIoU"].mean() for seed in (0, 1)]
        for name in (PER_QUERY, PER_QUERY_OOD)
    ]

    assert row.ood is not None
    assert row.ood.scores["mIoU"].value == pytest.approx(sum(means[1]) / 2, abs=1e-3)
    assert row.ood.gaps["mIoU"].value == pytest.approx((sum(means[1]) - sum(means[0])) / 2, abs=1e-3)
    assert row.ood.gaps["mIoU"].per_seed == pytest.approx(
        [there - here for here, there in zip(*means, strict=True)], abs=1e-3
    )


def test_the_report_has_arms_and_floors_on_both_splits(ran: Any) -> None:
    section = ran[0].report.read_text().partition("### Out of distribution")[2].partition("\n### ")[0]
    lines = [" ".join(line.split()) for line in section.splitlines()]

    assert "on 8 queries of 4 videos (4 source videos) that are unlike train (ood), beside the 6 of 3" in section
    assert [line.split(" | ")[0] for line in lines if "<br>" in line] == [
        "| moment_detr",
        "| constant_window",
        "| prior_sampler",
    ]
    # The floor of the page, from annotations alone, is that of the arm.
    assert "| constant window | mIoU | 83.3 | 25.0 | -58.3 |" in lines


def test_without_a_second_split_nothing_is_said_of_it(tmp_path: Path) -> None:
    config, catalog = sweep(tmp_path, "seed: 0"), load_catalog()
    run_sweep(load_config(config.path, ["seeds=[0]"], ["backbone=constant_window"]), catalog=catalog)

    assert "Out of distribution" not in config.report.read_text()


def test_a_missing_second_split_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    config = sweep(tmp_path, "test_ood: gone.json")

    with pytest.raises(UserError, match=r"gone\.json"):
        run_sweep(config, catalog=load_catalog())

    assert not Store(root=config.store).keys("base")
