"""Metrics at one IoU, by their names: `R5@0.45`, `dR10@0.5`, `mAP@0.7`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vmrbench.errors import ConfigError

_NAME = re.compile(r"(?:(?P<recall>d?R)(?P<depth>[1-9][0-9]{0,5})|mAP)@(?P<iou>[0-9]*\.?[0-9]+)")
_EXPECTED = "R<n>@<IoU>, dR<n>@<IoU> or mAP@<IoU> with n from 1 and an IoU above 0 and at most 1, such as R3@0.45"


@dataclass(frozen=True, kw_only=True)
class IouMetric:
    """Recall, discounted recall or average precision (which reads no depth, None) at one IoU."""

    kind: Literal["R", "dR", "mAP"]
    depth: int | None
    iou: float

    @property
    def name(self) -> str:
        """As tables call it, the IoU in its shortest form."""
        return f"{self.kind}{self.depth or ''}@{self.iou:.12g}"


def iou_metric(name: str) -> IouMetric:
    """The metric of a name.

    Raises:
        ConfigError: it is no such name.
    """
    found = _NAME.fullmatch(name)
    iou = float(found["iou"]) if found else 0.0
    if found is None or not 0.0 < iou <= 1.0:
        raise ConfigError(f"metric {name!r}: expected {_EXPECTED}")
    if found["recall"] is None:
        return IouMetric(kind="mAP", depth=None, iou=iou)
    return IouMetric(kind="dR" if found["recall"] == "dR" else "R", depth=int(found["depth"]), iou=iou)
