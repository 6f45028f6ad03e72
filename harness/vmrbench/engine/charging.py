"""What the queries of a cell are charged: their real lengths, the clips they kept, and the encoders they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from vmrbench.catalog import Catalog
from vmrbench.config.cells import Cell
from vmrbench.cost.by_queries import QueryCurve, cost_by_queries
from vmrbench.cost.stages import QueryUse, StageReport, UnitCosts, cost_stages, unit_costs
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
    nearest = _nearest_shapes(queries, counted["shapes"])
    uses = []
    for video, clips, kept, shape in zip(queries["video_id"], queries["clips"], queries["kept"], nearest, strict=True):
        keep = np.zeros(int(clips), dtype=np.bool_)
        keep[np.asarray(kept, dtype=np.int64)] = True
        uses.append(QueryUse(video_id=str(video), keep=keep, trim_macs=shape["trim"], backbone_macs=shape["backbone"]))
    return uses


def _units(cell: Cell, catalog: Catalog) -> UnitCosts:
    encoders = {name: offer.spec for name, offer in catalog.encoders.items()}
    spec, facts = cell.trimmer.offer.spec, cell.dataset.built.facts
    read = {name: facts.index[name] for name in index_groups(facts, cell.trimmer.options)}
    reads_index = spec.needs_index or cell.trimmer.fill in INDEX_FILLS
    return unit_costs(replace(facts, index=read), encoders, reads_index=reads_index)


def _nearest_shapes(queries: pd.DataFrame, shapes: list[dict[str, int]]) -> list[dict[str, int]]:
    """For every query its own shape; the nearest counted one where `macs_shapes` left it out."""
    table = np.array([[shape["clips"], shape["tokens"]] for shape in shapes])
    wanted = queries[["clips", "query_tokens"]].to_numpy()
    distance = np.abs(wanted[:, None] - table[None]) @ np.array([1000, 1])
    return [shapes[place] for place in distance.argmin(1)]
