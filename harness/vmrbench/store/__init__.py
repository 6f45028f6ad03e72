"""Run records and run folders."""

from __future__ import annotations

from vmrbench.store.files import FORMAT, read_json, read_record, write_json, write_record, write_text
from vmrbench.store.folders import OVERWRITE, STAGES, NotStored, Overwrite, Stage, Store, open_store
from vmrbench.store.locks import Busy
from vmrbench.store.plan import PlanRow, plan_row
from vmrbench.store.wall_time import WallTime, read_wall_time

__all__ = [
    "FORMAT",
    "OVERWRITE",
    "STAGES",
    "Busy",
    "NotStored",
    "Overwrite",
    "PlanRow",
    "Stage",
    "Store",
    "WallTime",
    "open_store",
    "plan_row",
    "read_json",
    "read_record",
    "read_wall_time",
    "write_json",
    "write_record",
    "write_text",
]
