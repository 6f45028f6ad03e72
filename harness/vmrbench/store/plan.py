"""What a sweep would do, read from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vmrbench.store.folders import Stage, Store

State = Literal["done", "missing"]


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """One cell: how its clips are trimmed, what is stored by stage, whether it would run, and why."""

    cell_id: str
    applied: str
    stages: Mapping[str, State]
    runs: bool
    reason: str


def plan_row(store: Store, cell_id: str, applied: str, keys: Mapping[Stage, str]) -> PlanRow:
    """What the store knows of a cell.

    Args:
        store: with the overwrite policy of the sweep.
        cell_id, applied: what is printed.
        keys: the key of every stage; that of `cells` is also the one failures are kept under.
    """
    stages: dict[str, State] = {stage: "done" if store.has(stage, key) else "missing" for stage, key in keys.items()}
    missing = [stage for stage, state in stages.items() if state == "missing"]
    failure = store.failure(keys["cells"])
    if not missing:
        return PlanRow(cell_id=cell_id, applied=applied, stages=stages, runs=False, reason="done")
    if store.overwrite == "never":
        reason = "missing, but overwrite is 'never'"
        return PlanRow(cell_id=cell_id, applied=applied, stages=stages, runs=False, reason=reason)
    if store.overwrite == "always":
        reason = "overwrite is 'always'"
    elif failure is not None:
        reason = f"failed before: {failure.strip().splitlines()[-1]}"
    else:
        reason = f"missing: {', '.join(missing)}"
    return PlanRow(cell_id=cell_id, applied=applied, stages=stages, runs=True, reason=reason)
