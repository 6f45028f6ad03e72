"""The record of a finished cell: what ran, with what, how good it was and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vmrbench import __version__
from vmrbench.catalog import Catalog, Offer
from vmrbench.config.cells import Cell
from vmrbench.cost.stages import QueryUse, StageCost, StageReport, cost_stages, unit_costs
from vmrbench.engine.identity_keys import StageKeys, run_key
from vmrbench.engine.splits import REPORTED, split_of, stamps_of
from vmrbench.engine.stages import COMPILED, LOG, MACS, PREDICTIONS, SHUFFLED, read_queries
from vmrbench.identity import identity_of_options
from vmrbench.protocol.convention import get_protocol
from vmrbench.score.intervals import bootstrap
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import score_predictions
from vmrbench.score.submission import read_predictions
from vmrbench.store import Store, read_json, write_record

RECORD, PER_QUERY = "record.json", "per_query.parquet"


def make_record(cell: Cell, catalog: Catalog, store: Store, keys: StageKeys, folder: Path) -> None:
    """Score the stored predictions of a cell, charge its cost, and write record and per-query table into `folder`."""
    predicted = store.path("predict", keys.predict)
    scores = _score(cell, predicted)
    queries = read_queries(predicted)
    log = read_json(store.path("train", keys.train) / LOG)
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
        "diagnostics": _diagnostics(queries, predicted),
        "scores": _intervals(cell, scores),
        "cost": _cost(cell, catalog, store, keys, queries),
    }
    scores.assign(kept_clips=queries["kept_clips"], clips=queries["clips"]).to_parquet(folder / PER_QUERY, index=False)
    write_record(folder / RECORD, record)


def describe_cell(cell: Cell) -> dict[str, Any]:
    """The cell as plain data, ids and options filled in."""
    return {
        "dataset": _entry(cell.dataset.id, cell.dataset.offer, cell.dataset.options),
        "backbone": _entry(cell.backbone.id, cell.backbone.offer, cell.backbone.options)
        | {"preset": cell.backbone.preset}
        | _given(cell),
        "trimmer": _entry(cell.trimmer.id, cell.trimmer.offer, cell.trimmer.options)
        | {"fill": cell.trimmer.fill}
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
    return {"dataset": cell.dataset.offer, "backbone": cell.backbone.offer, "trimmer": cell.trimmer.offer}


def _origin(offer: Offer) -> dict[str, Any]:
    return {
        "plugin": offer.plugin,
        "origin": offer.origin,
        "version": offer.version,
        "file_sha256": offer.file_sha256,
        "revision": offer.spec.revision,
    }


def _warnings(log: Mapping[str, Any]) -> list[str]:
    if log["shares_encoder"] is False:
        return ["unshared: the selector has an encoder of its own"]
    return []


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


def _diagnostics(queries: pd.DataFrame, predicted: Path) -> dict[str, Any]:
    return {
        "clips_mean": float(queries["clips"].mean()),
        "kept_clips_mean": float(queries["kept_clips"].mean()),
        "kept_ratio_mean": float((queries["kept_clips"] / queries["clips"]).mean()),
        "moment_kept_mean": float(queries["moment_kept"].mean()),
        "queries_per_video": len(queries) / queries["video_id"].nunique(),
        "shuffled_query": read_json(predicted / SHUFFLED),
    }


def _cost(cell: Cell, catalog: Catalog, store: Store, keys: StageKeys, queries: pd.DataFrame) -> dict[str, Any]:
    counted = read_json(store.path("cost", keys.macs) / MACS)
    charged = charge(cell, catalog, queries, counted)
    return {
        "macs_cold": _plain(charged.cold),
        "macs_amortised": _plain(charged.amortised),
        "union_ratio": charged.union_ratio,
        "latency_ms": {},
        "memory_bytes": _memory(cell, store, keys),
        "fvcore_ratio": counted["fvcore_ratio"],
        "uncounted_operators": counted["uncounted"],
    }


def charge(cell: Cell, catalog: Catalog, queries: pd.DataFrame, counted: Mapping[str, Any]) -> StageReport:
    """Charge every query its real length, its own kept clips, and the declared cost of the encoders it needs."""
    shapes = queries[["clips", "query_tokens"]].to_numpy()
    nearest = _nearest(shapes, counted["shapes"])
    seen = [shape["backbone"] for shape in nearest] if "seen" not in counted else _seen(queries, counted["seen"])
    uses = []
    for query, shape, backbone in zip(queries.to_dict("records"), nearest, seen, strict=True):
        uses.append(
            QueryUse(
                video_id=str(query["video_id"]),
                keep=_marked(query["clips"], query["kept"]),
                finer=_marked(query.get("finer_clips", 0), query.get("finer_kept", ())),
                trim_macs=shape["trim"],
                backbone_macs=backbone,
            )
        )
    encoders = {name: offer.spec for name, offer in catalog.encoders.items()}
    reads_index = cell.trimmer.offer.spec.input == "fill"
    return cost_stages(uses, unit_costs(cell.dataset.built.facts, encoders, reads_index=reads_index))


def _marked(length: int, places: Any) -> NDArray[np.bool_]:
    """[length] true at `places`."""
    marked = np.zeros(int(length), dtype=np.bool_)
    marked[np.asarray(places, dtype=np.int64)] = True
    return marked


def _seen(queries: pd.DataFrame, counted: list[dict[str, int]]) -> list[int]:
    """For every query the backbone's multiply-adds at the rows that it saw, all its passes together."""
    found = []
    for passes, words in zip(queries["passes"], queries["query_tokens"], strict=True):
        wanted = np.array([[rows, words] for rows in passes])
        found.append(sum(shape["macs"] for shape in _nearest(wanted, counted)))
    return found


def _nearest(wanted: NDArray[Any], shapes: list[dict[str, int]]) -> list[dict[str, int]]:
    """For every (clips, words) [n, 2] its own shape; the nearest counted one where `macs_shapes` left it out."""
    table = np.array([[shape["clips"], shape["tokens"]] for shape in shapes])
    distance = np.abs(wanted[:, None] - table[None]) @ np.array([1000, 1])
    return [shapes[place] for place in distance.argmin(1)]


def _memory(cell: Cell, store: Store, keys: StageKeys) -> dict[str, Any]:
    if not cell.cost.memory:
        return {"value": None, "reason": "cost.memory is false"}
    found: dict[str, Any] = read_json(store.path("cost", keys.memory) / "memory.json")
    return found


def _plain(stages: Mapping[str, StageCost]) -> dict[str, Any]:
    return {name: asdict(stage) for name, stage in stages.items()}
