"""One set of clips for all queries of a video, from the sweep file to what is charged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vmrbench.catalog import Catalog
from vmrbench.config import load_config
from vmrbench.engine.identity_keys import stage_keys
from vmrbench.engine.predict import SplitPredictions, predict_split
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import new_arm
from vmrbench.errors import ConfigError

CPU = torch.device("cpu")


def predicted(make_sweep: Callable[..., Any], arm: str, plan: str, batch: int = 5) -> SplitPredictions:
    # Untrained, an encoder of one layer asks for the same clips whatever the query.
    sets = ("backbones.moment_detr.options.encoder_layers=2",)
    sets += (f"trimmers.{arm}.options.steps=1",) if arm == "spotvmr" else ()
    cell = make_sweep(arm, sets=sets).cells[arm]
    model = new_arm(cell)
    return predict_split(model, split_of(cell, "test"), batch_size=batch, device=CPU, precision="fp32", plan=plan)


@pytest.mark.parametrize("plan", ["union_mean", "union_max"])
def test_the_queries_of_a_video_share_their_clips_within_the_budget(make_sweep: Callable[..., Any], plan: str) -> None:
    alone = predicted(make_sweep, "spotvmr", "query")
    shared = predicted(make_sweep, "spotvmr", plan)

    by_video: dict[str, set[tuple[int, ...]]] = {}
    for video, kept in zip(shared.queries["video_id"], shared.kept, strict=True):
        by_video.setdefault(video, set()).add(tuple(kept.tolist()))
    assert {len(sets) for sets in by_video.values()} == {1}
    assert shared.queries["kept_clips"].tolist() == alone.queries["kept_clips"].tolist()
    assert any(not np.array_equal(a, b) for a, b in zip(alone.kept, shared.kept, strict=True))


def test_a_plan_does_not_depend_on_what_shares_a_batch(make_sweep: Callable[..., Any]) -> None:
    small, large = (predicted(make_sweep, "spotvmr", "union_mean", batch=size) for size in (1, 12))

    assert all(np.array_equal(a, b) for a, b in zip(small.kept, large.kept, strict=True))


def test_only_planned_clips_are_left_where_rows_are_removed(make_sweep: Callable[..., Any]) -> None:
    cell = make_sweep("spotvmr", sets=("trimmers.spotvmr.apply=gather",)).cells["spotvmr"]
    split = split_of(cell, "test")

    done = predict_split(new_arm(cell), split, batch_size=5, device=CPU, precision="fp32", plan="union_mean")

    filled = predicted(make_sweep, "spotvmr", "union_mean")
    assert [passes.tolist() for passes in done.queries["passes"]] == [[n] for n in done.queries["kept_clips"]]
    assert done.queries["kept_clips"].tolist() == filled.queries["kept_clips"].tolist()
    assert (done.queries["kept_clips"] < done.queries["clips"]).all()


def test_clips_that_were_read_to_ask_a_query_are_charged_to_it(make_sweep: Callable[..., Any]) -> None:
    # The first of two steps is read before the second one is drawn. Draws of its own make every query disagree with the
    # others of its video, which an untrained selector without them may not do.
    alone = predicted(make_sweep, "drawn", "query")
    shared = predicted(make_sweep, "drawn", "union_mean")

    extra = 0
    for own, charged, count in zip(alone.kept, shared.kept, shared.queries["kept_clips"], strict=True):
        assert count <= len(charged) <= count + len(own)
        extra += len(charged) - count
    assert extra > 0


def test_a_trimmer_that_scores_no_clips_cannot_plan(make_sweep: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="plan 'union_mean' ranks the clips of a video by the trimmer's scores"):
        predicted(make_sweep, "uniform", "union_mean")


def test_a_planned_arm_shares_the_weights_and_counts_of_the_arm_that_plans_by_query(
    make_sweep: Callable[..., Any],
) -> None:
    alone = make_sweep("spotvmr").cells["spotvmr"]
    planned = make_sweep("spotvmr", sets=("trimmers.spotvmr.plan=union_mean",)).cells["spotvmr"]

    first, second = stage_keys(alone, "m"), stage_keys(planned, "m")

    assert (first.base, first.train, first.macs) == (second.base, second.train, second.macs)
    assert first.predict != second.predict
    assert alone.identity() != planned.identity()
    assert "plan" not in alone.identity()["trimmer"]


def test_a_trimmer_that_chooses_no_clips_takes_no_plan(offers: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "datasets: [{name: simulated}]\nbackbones: [{name: moment_detr}]\n"
        "trimmers:\n  - {name: none, plan: union_max}\n"
    )

    with pytest.raises(ConfigError, match="trimmer 'none' chooses no clips; leave 'plan' out"):
        load_config(path).resolve(offers)
