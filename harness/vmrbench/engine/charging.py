"""What the queries of a cell are charged: their real lengths, the clips and rows they used, and their encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vmrbench.catalog import Catalog
from vmrbench.config.cells import Cell
from vmrbench.cost.by_queries import QueryCurve, cost_by_queries
from vmrbench.cost.stages import QueryUse, StageReport, UnitCosts, cost_stages, no_features, unit_costs
from vmrbench.engine.build import index_groups
from vmrbench.trim.fill import INDEX_FILLS


def charge(cell: Cell, catalog: Catalog, queries: pd.DataFrame, counted: Mapping[str, Any]) -> StageReport:
    """Charge every query its real length, its own kept clips, and the declared cost of the encoders it needs.

    Args:
        cell: whose data set names the encoders.
        catalog: offers them.
        queries: from `vmrbench.engine.stages.read_queries`.
        counted: multiply-adds by shape, as stored by the stage `cost`.
    """
    return cost_stages(_uses(queries, counted), _units(cell, catalog))


def charge_by_queries(cell: Cell, catalog: Catalog, queries: pd.DataFrame, counted: Mapping[str, Any]) -> QueryCurve:
    """What a query costs by queries per video; arguments as in `charge`."""
    return cost_by_queries(_uses(queries, counted), _units(cell, catalog))


def _uses(queries: pd.DataFrame, counted: Mapping[str, Any]) -> list[QueryUse]:
    nearest = _nearest(queries[["clips", "query_tokens"]].to_numpy(), counted["shapes"])
    seen = [shape["backbone"] for shape in nearest] if "seen" not in counted else _seen(queries, counted["seen"])
    return [
        QueryUse(
            video_id=str(query["video_id"]),
            keep=_marked(query["clips"], query["kept"]),
            finer=_marked(query.get("finer_clips", 0), query.get("finer_kept", ())),
            trim_macs=shape["trim"],
            backbone_macs=backbone,
        )
        for query, shape, backbone in zip(queries.to_dict("records"), nearest, seen, strict=True)
    ]


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


def _units(cell: Cell, catalog: Catalog) -> UnitCosts:
    if not cell.backbone.offer.spec.reads_features:
        return no_features()
    encoders = {name: offer.spec for name, offer in catalog.encoders.items()}
    spec, facts = cell.trimmer.offer.spec, cell.dataset.built.facts
    read = {name: facts.index[name] for name in index_groups(facts, cell.trimmer.options)}
    reads_index = spec.needs_index or cell.trimmer.fill in INDEX_FILLS
    return unit_costs(replace(facts, index=read), encoders, reads_index=reads_index)


def _nearest(wanted: NDArray[Any], shapes: list[dict[str, int]]) -> list[dict[str, int]]:
    """For every (clips, words) [n, 2] its own shape; the nearest counted one where `macs_shapes` left it out."""
    table = np.array([[shape["clips"], shape["tokens"]] for shape in shapes])
    distance = np.abs(wanted[:, None] - table[None]) @ np.array([1000, 1])
    return [shapes[place] for place in distance.argmin(1)]
