"""Types of numeric options: a value outside its range is refused where the sweep file is read.

Plug-ins annotate the fields of their options with them; to Python they are plain `int` and `float`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
# Real numbers are finite.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Overlap = Annotated[float, Field(gt=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
# Share of a video's clips, where none at all makes no sense.
KeepRatio = Annotated[float, Field(gt=0, le=1)]
