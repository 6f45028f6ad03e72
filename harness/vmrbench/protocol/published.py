"""The field's own conventions as data, and every convention by name.

Facts, restated, from: jayleicn/moment_detr standalone_eval; line/lighthouse training/standalone_eval; microsoft/2D-TAN
lib/core/eval.py; EGO4D/episodic-memory NLQ/VSLNet/utils/evaluate_ego4d_nlq.py; Soldelli/MAD
baselines/VLG-Net/lib/engine/evaluation.py; 26hzhang/VSLNet util/runner_utils.py. No code of theirs is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vmrbench.errors import ConfigError, did_you_mean
from vmrbench.protocol.convention import GRID, LENGTHS, VMRBENCH_V1, Protocol
from vmrbench.protocol.wording import rules_in_words

_DETAILED = (0.3, 0.35, 0.4, 0.45, *GRID)


def _published(name: str, source: str, **facts: Any) -> Protocol:
    """A published convention: nothing is clamped, forgiven or refused unless it says so."""
    protocol = Protocol(
        name=name,
        source=source,
        tolerance=0.0,
        rules=(),
        **{"clamp": False, "faults": "listed", "union": "hull", "ap_thresholds": (), **facts},
    )
    return replace(protocol, rules=rules_in_words(protocol))


# What moment_detr's evaluator and the copies of it share.
_MOMENT_DETR: dict[str, Any] = {
    "recall_at": (1,),
    "recall_thresholds": (0.5, 0.7),
    "ap_thresholds": GRID,
    "order": "listed",
    "ap_windows": 10,
    "no_union": "hit",
    "more_recall_at": (1,),
    "more_thresholds": _DETAILED,
}

QVHIGHLIGHTS_V1 = _published(
    "qvhighlights-v1",
    "jayleicn/moment_detr standalone_eval; R1 under IoU 0.5 and mIoU as in CG-DETR's copy of it",
    **_MOMENT_DETR,
    lengths=(*LENGTHS[:2], replace(LENGTHS[2], up_to=150.0)),
)

# The same evaluator without groups of length; windows of its files are rounded by its post-processing, not by it.
CHARADES_LIGHTHOUSE_V1 = _published(
    "charades-lighthouse-v1",
    "line/lighthouse training/standalone_eval",
    **_MOMENT_DETR,
    highlights=False,
)


def _two_d_tan(name: str, nms: float, thresholds: tuple[float, ...]) -> Protocol:
    return _published(
        name,
        f"microsoft/2D-TAN lib/core/eval.py, suppression at {nms:g}",
        recall_at=(1, 5),
        recall_thresholds=thresholds,
        operator=">",
        truth="first",
        nms=nms,
        highlights=False,
    )


# 0.4 is what its code falls back to, and its setting for TACoS.
TWO_D_TAN_V1 = _two_d_tan("2dtan-v1", 0.4, (0.3, 0.5, 0.7))
TWO_D_TAN_CHARADES_V1 = _two_d_tan("2dtan-charades-v1", 0.45, (0.5, 0.7))
TWO_D_TAN_ACTIVITYNET_V1 = _two_d_tan("2dtan-activitynet-v1", 0.5, (0.3, 0.5, 0.7))
TWO_D_TAN_TACOS_V1 = _two_d_tan("2dtan-tacos-v1", 0.4, (0.1, 0.3, 0.5))

EGO4D_NLQ_V1 = _published(
    "ego4d-nlq-v1",
    "EGO4D/episodic-memory NLQ/VSLNet/utils/evaluate_ego4d_nlq.py",
    recall_at=(1, 5),
    recall_thresholds=(0.3, 0.5),
    operator=">",
    truth="first",
    order="listed",
    missing="dropped",
    more_recall_at=(1, 3, 5, 10),
    more_thresholds=(0.01, 0.3, 0.5, 0.7),
    highlights=False,
)

MAD_V1 = _published(
    "mad-v1",
    "Soldelli/MAD baselines/VLG-Net/lib/engine/evaluation.py; CONE's copy of it has > instead of >=",
    recall_at=(1, 5, 10, 50, 100),
    recall_thresholds=(0.1, 0.3, 0.5),
    truth="first",
    more_recall_at=(1, 5, 10, 50, 100),
    highlights=False,
)

VSLNET_V1 = _published(
    "vslnet-v1",
    "26hzhang/VSLNet util/runner_utils.py",
    recall_at=(1,),
    recall_thresholds=(0.3, 0.5, 0.7),
    truth="first",
    missing="dropped",
    more_recall_at=(1,),
    highlights=False,
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        VMRBENCH_V1,
        QVHIGHLIGHTS_V1,
        CHARADES_LIGHTHOUSE_V1,
        TWO_D_TAN_V1,
        TWO_D_TAN_CHARADES_V1,
        TWO_D_TAN_ACTIVITYNET_V1,
        TWO_D_TAN_TACOS_V1,
        EGO4D_NLQ_V1,
        MAD_V1,
        VSLNET_V1,
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigError: no protocol has that name.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol is named {name!r}{did_you_mean(name, PROTOCOLS)}")
    return PROTOCOLS[name]
