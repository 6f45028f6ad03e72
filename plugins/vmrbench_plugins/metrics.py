"""The metrics of `vmrbench-v1`: R1 and R5 at IoU 0.3, 0.5, 0.7, mIoU and mAP."""

from __future__ import annotations

from collections.abc import Iterable

from vmrbench import hookimpl
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.score.measures import protocol_metrics
from vmrbench.specs import MetricSpec


@hookimpl
def vmr_metrics() -> Iterable[MetricSpec]:
    """One value a query, in percent."""
    return protocol_metrics(VMRBENCH_V1)
