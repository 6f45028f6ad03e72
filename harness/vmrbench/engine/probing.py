"""What an arm predicts under the probes of a sweep, and what that does to its scores."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench.config.cells import Cell, ProbeEntry
from vmrbench.engine.compiling import compiled
from vmrbench.engine.device import resolve_device
from vmrbench.engine.identity_keys import StageKeys, probe_key
from vmrbench.engine.splits import REPORTED, split_of
from vmrbench.engine.stages import PREDICTIONS, predict_changed, trained_arm
from vmrbench.errors import PluginError
from vmrbench.identity import identity_of_options
from vmrbench.launch.jobs import say_stage
from vmrbench.protocol.published import get_protocol
from vmrbench.protocols import Split
from vmrbench.score.intervals import bootstrap, paired_difference
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import probed, score_predictions
from vmrbench.score.submission import read_predictions, write_predictions
from vmrbench.store import Store


def make_probe(cell: Cell, probe: ProbeEntry, store: Store, keys: StageKeys, folder: Path) -> None:
    """Predict the reported split as the probe changes it.

    Raises:
        PluginError: the probe changed the samples or annotations, or failed.
    """
    say_stage(f"predict under {probe.id}")
    arm = trained_arm(cell, store, keys)
    split = split_of(cell, REPORTED, finer=arm.finer)
    changed = probe.offer.spec.change(probe.options, split, cell.seed)
    _check_unchanged(probe, split, changed)
    with compiled([arm]) if cell.compile else nullcontext():
        done = predict_changed(cell, arm, changed, resolve_device(cell.device))
    write_predictions(folder / PREDICTIONS, done.predictions, split.annotations)


def with_probes(cell: Cell, scores: pd.DataFrame, store: Store, keys: StageKeys) -> pd.DataFrame:
    """Per-query scores, with those under every probe in columns named by `probed`."""
    protocol, annotations = get_protocol(cell.protocol), split_of(cell, REPORTED).annotations
    for probe in cell.probes:
        folder = store.path("predict", probe_key(probe, keys.predict))
        table = score_predictions(read_predictions(folder / PREDICTIONS), annotations, protocol)
        names = [metric.name for metric in protocol_metrics(protocol)]
        scores = scores.assign(**{probed(name, probe.id): table[name].to_numpy() for name in names})
    return scores


def describe_probes(cell: Cell, scores: pd.DataFrame) -> dict[str, Any]:
    """By id of the probe: which it is, scores under it and their paired difference to the unchanged input.

    scores: from `with_probes`.
    """
    protocol = get_protocol(cell.protocol)
    names = [metric.name for metric in protocol_metrics(protocol)]
    found = {}
    for probe in cell.probes:
        under = scores.drop(columns=names).rename(columns={probed(name, probe.id): name for name in names})
        found[probe.id] = {
            "name": probe.offer.spec.name,
            "options": identity_of_options(probe.options),
            "scores": _plain(bootstrap(under, names, protocol)),
            "differences": _plain(paired_difference(under, scores, names, protocol)),
        }
    return found


def _check_unchanged(probe: ProbeEntry, before: Split, after: Split) -> None:
    if len(after) != len(before) or list(after.annotations) != list(before.annotations):
        raise PluginError(
            f"{probe.offer.plugin}: probe {probe.id!r} gave {len(after)} samples for {len(before)}, or other "
            "annotations; a probe changes the features of every sample and nothing else"
        )


def _plain(intervals: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in intervals.items()}
