"""The record of a finished cell: what ran, with what, how good it was and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench import __version__
from vmrbench.catalog import Catalog, Offer
from vmrbench.config.cells import Cell
from vmrbench.cost.stages import StageCost
from vmrbench.engine.adaptive_budget import read_calibration
from vmrbench.engine.charging import charge, charge_by_queries
from vmrbench.engine.diagnostics import diagnose, with_selection
from vmrbench.engine.identity_keys import StageKeys, ood_key, probe_key, run_key
from vmrbench.engine.ood import describe_ood, score_ood
from vmrbench.engine.probing import describe_probes, with_probes
from vmrbench.engine.splits import REPORTED, has_ood, split_of, stamps_of
from vmrbench.engine.stages import COMPILED, LOG, MACS, PREDICTIONS, read_queries
from vmrbench.identity import identity_of_options
from vmrbench.protocol.published import get_protocol
from vmrbench.score.intervals import bootstrap
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import score_predictions
from vmrbench.score.submission import read_predictions
from vmrbench.store import FORMAT, Stage, Store, WallTime, read_json, read_record, read_wall_time, write_record

RECORD, PER_QUERY, PER_QUERY_OOD = "record.json", "per_query.parquet", "per_query_ood.parquet"


def make_record(cell: Cell, catalog: Catalog, store: Store, keys: StageKeys, folder: Path) -> None:
    """Score the stored predictions of a cell, charge its cost, and write record and per-query table into `folder`."""
    predicted = store.path("predict", keys.predict)
    scores = with_probes(cell, with_selection(cell, _score(cell, predicted), predicted), store, keys)
    queries = read_queries(predicted)
    ood = score_ood(cell, store, keys) if has_ood(cell) else None
    log = read_json(store.path("train", keys.train) / LOG)
    adaptive = cell.trimmer.adaptive_budget
    record = {
        "run_id": run_key(cell)[:16],
        "cell": describe_cell(cell),
        "status": "VALID",
        "reasons": [],
        "stamps": list(stamps_of(cell)),
        "warnings": [*_warnings(log), *_computed(cell, predicted)],
        "keys": asdict(keys),
        "plugins": {kind: _origin(offer) for kind, offer in _offers(cell).items()},
        "vmrbench": __version__,
        "data": asdict(cell.dataset.built.facts),
        "training": {"settings": asdict(cell.train), **log},
        "parameters": log["parameters"],
        **({"calibration": read_calibration(predicted)} if adaptive else {}),
        "diagnostics": diagnose(cell, scores, predicted),
        "scores": _intervals(cell, scores),
        **({"probes": describe_probes(cell, scores)} if cell.probes else {}),
        **({} if ood is None else {"ood": describe_ood(cell, scores, ood)}),
        "cost": _cost(cell, catalog, store, keys, queries),
        "wall_seconds": _wall_seconds(cell, store, keys),
    }
    if ood is not None:
        ood.to_parquet(folder / PER_QUERY_OOD, index=False)
    scores.to_parquet(folder / PER_QUERY, index=False)
    write_record(folder / RECORD, record)


def record_is_current(folder: Path) -> bool:
    """Whether the record in a folder of the stage `cells` is of the format that this version writes."""
    return bool(read_record(folder / RECORD)["format"] == FORMAT)


def describe_cell(cell: Cell) -> dict[str, Any]:
    """The cell as plain data, ids and options filled in."""
    return {
        "dataset": _entry(cell.dataset.id, cell.dataset.offer, cell.dataset.options),
        "backbone": _entry(cell.backbone.id, cell.backbone.offer, cell.backbone.options)
        | {"preset": cell.backbone.preset}
        | _given(cell),
        "trimmer": _entry(cell.trimmer.id, cell.trimmer.offer, cell.trimmer.options)
        | {"fill": cell.trimmer.fill, "plan": cell.trimmer.plan}
        | cell.trimmer.mode,
        "seed": cell.seed,
        "protocol": cell.protocol,
        "precision": cell.precision,
        "compile": cell.compile,
        "limit": cell.limit,
    }


def _given(cell: Cell) -> dict[str, Any]:
    """Where the weights come from that a cell starts from; nothing where it starts from its own."""
    weights = cell.backbone.weights
    return {} if weights is None else {"weights": {"sha256": weights.sha256, **asdict(weights.provenance)}}


def _entry(label: str, offer: Offer, options: Any) -> dict[str, Any]:
    return {"id": label, "name": offer.spec.name, "options": identity_of_options(options)}


def _offers(cell: Cell) -> dict[str, Offer]:
    arm = {"dataset": cell.dataset.offer, "backbone": cell.backbone.offer, "trimmer": cell.trimmer.offer}
    return arm | {f"probe {probe.id}": probe.offer for probe in cell.probes}


def _origin(offer: Offer) -> dict[str, Any]:
    return {
        "plugin": offer.plugin,
        "origin": offer.origin,
        "version": offer.version,
        "file_sha256": offer.file_sha256,
        "revision": offer.spec.revision,
    }


def _warnings(log: Mapping[str, Any]) -> list[str]:
    found = []
    if log["shares_encoder"] is False:
        found.append("unshared: the selector has an encoder of its own")
    alone = log.get("selector")  # Logs written before selectors could learn alone lack it.
    if alone:
        found.append(
            f"selector alone: {len(alone['losses'])} epochs of its own before the extra ones, which every arm has"
        )
    return found


def _computed(cell: Cell, predicted: Path) -> list[str]:
    """How the forward pass was computed, where that is not in plain float32."""
    lower = [] if cell.precision == "fp32" else [f"precision: forward passes in {cell.precision}"]
    return [*lower, read_json(predicted / COMPILED)["text"]] if cell.compile else lower


def _score(cell: Cell, predicted: Path) -> pd.DataFrame:
    annotations = split_of(cell, REPORTED).annotations
    return score_predictions(read_predictions(predicted / PREDICTIONS), annotations, get_protocol(cell.protocol))


def _intervals(cell: Cell, scores: pd.DataFrame) -> dict[str, Any]:
    protocol = get_protocol(cell.protocol)
    names = [metric.name for metric in protocol_metrics(protocol)]
    found = bootstrap(scores, names, protocol)
    units = {metric.name: metric for metric in protocol_metrics(protocol)}
    return {
        name: {
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "n": interval.n,
            "unit": units[name].unit,
            "higher_is_better": units[name].higher_is_better,
        }
        for name, interval in found.items()
    }


def _cost(cell: Cell, catalog: Catalog, store: Store, keys: StageKeys, queries: pd.DataFrame) -> dict[str, Any]:
    counted = read_json(store.path("cost", keys.macs) / MACS)
    charged = charge(cell, catalog, queries, counted)
    return {
        "macs_cold": _plain(charged.cold),
        "macs_amortised": _plain(charged.amortised),
        "union_ratio": charged.union_ratio,
        "by_queries": asdict(charge_by_queries(cell, catalog, queries, counted)),
        "latency_ms": {},
        "memory_bytes": _memory(cell, store, keys),
        "fvcore_ratio": counted["fvcore_ratio"],
        "uncounted_operators": counted["uncounted"],
    }


def _memory(cell: Cell, store: Store, keys: StageKeys) -> dict[str, Any]:
    if not cell.cost.memory:
        return {"value": None, "reason": "cost.memory is false"}
    if cell.trimmer.rows_vary:
        return {"value": None, "reason": "how many rows are left follows the query: an untrained arm has another peak"}
    found: dict[str, Any] = read_json(store.path("cost", keys.memory) / "memory.json")
    return found


def _wall_seconds(cell: Cell, store: Store, keys: StageKeys) -> dict[str, Any]:
    """Seconds on the clock to make what the cell is scored on: its base model, its arm, its predictions, its counts.

    Stages that cells share are listed for each.
    """
    predicted = [keys.predict, *([ood_key(keys.predict)] if has_ood(cell) else [])]
    predicted += [probe_key(probe, keys.predict) for probe in cell.probes]
    counts = [keys.backbone_macs, keys.macs, *([keys.memory] if cell.cost.memory else [])]
    made: dict[Stage, list[str]] = {
        "base": [keys.base],
        "train": [keys.train],
        "predict": predicted,
        "cost": counts,
    }
    return {
        stage: asdict(_sum([read_wall_time(store.path(stage, key)) for key in of_stage]))
        for stage, of_stage in made.items()
    }


def _sum(times: Sequence[WallTime]) -> WallTime:
    """Of stages that ran after each other."""
    lacking = next((time for time in times if time.value is None), None)
    if lacking is not None:
        return lacking
    return WallTime(value=sum(time.value or 0.0 for time in times), sessions=max(time.sessions for time in times))


def _plain(stages: Mapping[str, StageCost]) -> dict[str, Any]:
    return {name: asdict(stage) for name, stage in stages.items()}
