"""What some flavours need beside the annotation file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class FlavourOptions:
    """Choices a file cannot make itself; each is read by the flavours that need it and by no other.

    durations: files of video lengths, for Charades-STA text and for Ego4D NLQ on the time base `video`;
    timestamp_field: which times of MAD are the truth, where a file has both; time_base: whether Ego4D NLQ counts
    seconds in the clip (as its challenge does) or in the whole video; split: the key of a SnAG file to read.
    """

    durations: tuple[Path, ...] = ()
    timestamp_field: Literal["timestamps", "ext_timestamps"] | None = None
    time_base: Literal["clip", "video"] = "clip"
    split: str | None = None

    # Read by pydantic: a misspelt key is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
