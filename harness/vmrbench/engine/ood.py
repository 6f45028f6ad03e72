"""What an arm scores on a second test split, unlike the training split, with the same weights."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench.config.cells import Cell
from vmrbench.engine.compiling import compiled
from vmrbench.engine.device import resolve_device
from vmrbench.engine.identity_keys import StageKeys, ood_key
from vmrbench.engine.splits import OOD, split_of
from vmrbench.engine.stages import PREDICTIONS, predict_changed, trained_arm
from vmrbench.launch.jobs import say_stage
from vmrbench.protocol.published import get_protocol
from vmrbench.score.intervals import bootstrap, unpaired_difference
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import score_predictions
from vmrbench.score.submission import read_predictions, write_predictions
from vmrbench.store import Store


def make_ood(cell: Cell, store: Store, keys: StageKeys, folder: Path) -> None:
    """Predict the split that is unlike train."""
    say_stage("predict out of distribution")
    arm = trained_arm(cell, store, keys)
    split = split_of(cell, OOD, finer=arm.finer)
    with compiled([arm]) if cell.compile else nullcontext():
        done = predict_changed(cell, arm, split, resolve_device(cell.device))
    write_predictions(folder / PREDICTIONS, done.predictions, split.annotations)


def score_ood(cell: Cell, store: Store, keys: StageKeys) -> pd.DataFrame:
    """One row a query of the split that is unlike train."""
    predictions = read_predictions(store.path("predict", ood_key(keys.predict)) / PREDICTIONS)
    return score_predictions(predictions, split_of(cell, OOD).annotations, get_protocol(cell.protocol))


def describe_ood(cell: Cell, iid: pd.DataFrame, ood: pd.DataFrame) -> dict[str, Any]:
    """Scores out of the distribution, and their gap to those of the reported split: `ood` less `iid`, not paired."""
    protocol = get_protocol(cell.protocol)
    names = [metric.name for metric in protocol_metrics(protocol)]
    gaps = unpaired_difference(ood, iid, names, protocol)
    scores = bootstrap(ood, names, protocol)
    return {
        "scores": {name: asdict(found) for name, found in scores.items()},
        "gaps": {name: asdict(found) for name, found in gaps.items()},
    }
