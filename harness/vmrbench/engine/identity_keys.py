"""What each stage of a cell depends on: stages with equal keys are made once and shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmrbench.config.cells import Cell, ProbeEntry
from vmrbench.identity import fingerprint

# Raised when the engine itself changes what a stage gives.
REVISION = 1


@dataclass(frozen=True, kw_only=True)
class StageKeys:
    """Fingerprints of the stages of one cell.

    base: the untrimmed model that the arm starts from; train: the arm's weights; predict: its predictions on the
    reported split; backbone_macs: multiply-adds of backbone and fill, which arms share; macs: of the whole arm, which
    depend on weights only where rows are removed; memory: peak memory on one machine.
    """

    base: str
    train: str
    predict: str
    backbone_macs: str
    macs: str
    memory: str


def stage_keys(cell: Cell, machine: str) -> StageKeys:
    """The keys of a cell. machine: from `vmrbench.cost.machine.machine_key`."""
    whole = cell.identity()
    trimmer, learned_as, at_test = _trimmer_parts(cell, whole["trimmer"])
    training = dict(whole["train"])
    of_arm = {name: training.pop(name) for name in ("extra_epochs", "selector_epochs") if name in training}
    model = {"dataset": whole["dataset"], "backbone": whole["backbone"], "limit": whole["limit"]}
    learned = {"seed": cell.seed, "precision": cell.precision, "train": training}
    base = fingerprint({"revision": REVISION, **model, **learned, "input": _input(cell)})
    train = fingerprint({"base": base, "trimmer": learned_as, **of_arm})
    shapes = {"revision": REVISION, **model, "shapes": cell.cost.macs_shapes}
    backbone_macs = fingerprint({**shapes, "input": _input(cell)})
    compiled = {"compile": True} if cell.compile else {}
    arm = {"backbone": backbone_macs, "trimmer": trimmer}
    predict = fingerprint({"train": train, "split": "test", **compiled, **at_test})
    # How many rows the backbone sees is known when it has predicted, unless all of them stay.
    macs = fingerprint(arm if cell.trimmer.apply == "fill" else {**arm, "predict": predict})
    return StageKeys(
        base=base,
        train=train,
        predict=predict,
        backbone_macs=backbone_macs,
        macs=macs,
        memory=fingerprint(
            {"macs": fingerprint(arm), "machine": machine, "precision": cell.precision, "device": cell.device}
        ),
    )


def probe_key(probe: ProbeEntry, predict: str) -> str:
    """Identity of what a cell predicts under a probe. predict: key of its predictions without one."""
    return fingerprint({"predict": predict, "probe": probe.identity()})


def ood_key(predict: str) -> str:
    """Identity of what a cell predicts out of the distribution of train. predict: key of its other predictions."""
    return fingerprint({"predict": predict, "split": "test_ood"})


def run_key(cell: Cell) -> str:
    """Identity of a finished cell, what was measured of it included: its run id."""
    measured = {"macs_shapes": cell.cost.macs_shapes, "memory": cell.cost.memory}
    return fingerprint({"revision": REVISION, "cost": measured, **cell.identity()})


def latency_key(cells: list[Cell], machine: str) -> str:
    """Identity of a latency session: these arms, side by side, on this machine."""
    keys = sorted(_timed_as(cell, stage_keys(cell, machine)) for cell in cells)
    cost = cells[0].cost
    return fingerprint(
        {
            "machine": machine,
            "device": cells[0].device,
            "arms": keys,
            "ids": sorted(cell.trimmer.id for cell in cells),
            "samples": cost.latency_samples,
            "rounds": cost.latency_rounds,
            **({"compile": True} if cells[0].compile else {}),
        }
    )


def _trimmer_parts(cell: Cell, whole: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What of a trimmer decides what it counts as, what it learns, and how it predicts besides.

    Planning for a video and an adaptive budget concern prediction alone: weights and counts are those of the arm that
    plans by query and keeps its share. Where training draws its keep ratio, the one in the options concerns all but
    training.
    """
    at_test = {key: whole[key] for key in ("plan", "adaptive_budget") if key in whole}
    counted = {key: value for key, value in whole.items() if key not in {"train_ratios", *at_test}}
    if not cell.trimmer.train_ratios:
        return counted, counted, at_test
    options = dict(whole["options"])
    ratio = options.pop("keep_ratio")
    learned_as = {**counted, "options": options, "train_ratios": whole["train_ratios"]}
    return counted, learned_as, {**at_test, "keep_ratio": ratio}


def _timed_as(cell: Cell, keys: StageKeys) -> str:
    """What an arm is timed as: its weights, and where these serve several budgets, its predictions."""
    return keys.predict if cell.trimmer.train_ratios or cell.trimmer.adaptive_budget else keys.train


def _input(cell: Cell) -> dict[str, Any]:
    groups = getattr(cell.trimmer.options, "index_groups", None)
    return {
        "kind": cell.trimmer.offer.spec.input,
        "fill": cell.trimmer.fill,
        # Came later: base models of the whole index stay what they are.
        **({} if groups is None else {"index_groups": sorted(groups)}),
    }
