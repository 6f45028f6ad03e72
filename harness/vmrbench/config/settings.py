"""How arms are trained and how their cost is measured: the numbers that the engine reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]
Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["cosine", "constant", "linear", "step"]

Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
KeepRatio = Annotated[float, Field(gt=0, le=1)]
Overlap = Annotated[float, Field(gt=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]

# Read by pydantic where it meets the dataclass: an unknown key and a value of another type are mistakes.
_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a cell is trained.

    base_epochs: epochs of the untrimmed arm; extra_epochs: further epochs of a trimmed arm; selector_epochs: epochs
    before those in which a trimmer that can learns alone, beside a backbone that stands still; batch_size: queries a
    step; learning_rate, weight_decay: of AdamW; warmup_share: share of the steps with a rising rate, 0..1;
    schedule: how the rate falls after that, in each of the stages; drop_epoch: where the schedule is `step`, the
    epoch after which the rate is a tenth, counted through base and extra epochs;
    clip_norm: largest gradient norm, 0 for no limit; ema: what a moving average of the weights keeps of itself at every
    step, 0 for none, otherwise the average is validated and kept; eval_batch_size: queries at once where nothing is
    learned; length_buckets: queries of like length share a batch, which saves padding;
    validate_every: epochs between validations; select_by: metric on `val` that chooses the epoch.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    base_epochs: CountOrNone = 12
    extra_epochs: CountOrNone = 4
    selector_epochs: CountOrNone = field(default=0, metadata={"identity": "if changed"})
    batch_size: Count = 32
    learning_rate: Positive = 1.0e-3
    weight_decay: NotNegative = 1.0e-4
    warmup_share: Share = 0.1
    schedule: Schedule = field(default="cosine", metadata={"identity": "if changed"})
    drop_epoch: Count | None = field(default=None, metadata={"identity": "if changed"})
    clip_norm: NotNegative = 1.0
    ema: ShareBelowOne = field(default=0.0, metadata={"identity": "if changed"})
    eval_batch_size: Count = 64
    length_buckets: bool = field(default=True, metadata={"identity": "if changed"})
    validate_every: Count = 1
    select_by: str = "R1@0.5"


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How windows are cut, trained on and merged.

    count: windows of a video, which share its budget; finer: rows in the time of one clip, 1 for the clips themselves;
    weight: exponent of a window's score in the score of a moment found in it, 0 for none; nms: overlap (IoU) from which
    the lower-ranked of two moments is dropped when windows are merged, none for no dropping; own_share: share of the
    extra epochs, at their end, that trains on the trimmer's own windows instead of windows drawn from the truth, 0..1.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    count: Count = 1
    finer: Count = 2
    weight: NotNegative = 1.0
    nms: Overlap | None = None
    own_share: Share = 0.25


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """How cost is measured.

    latency_samples: queries timed a round; latency_rounds: rounds, arms interleaved; memory: measure the peak in a
    fresh process; macs_shapes: how many of the split's lengths are counted, null for every one.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    latency_samples: CountOrNone = 30
    latency_rounds: Count = 3
    memory: bool = True
    macs_shapes: Count | None = None
