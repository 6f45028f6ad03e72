"""One thing that was found when data were looked over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["fact", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found in annotations or features.

    check: what was looked at, such as `counts`, `known_split`, `coverage` or a kind of defect (see `DefectPolicy`);
    level: `error` where reading stops, `warning` where something is changed, left out or suspicious, else `fact`;
    message: one line; count: of what was found, None where nothing is counted; first: where the first of them stands.
    """

    check: str
    level: Level
    message: str
    count: int | None = None
    first: str | None = None
