"""One arm of the comparison: a trimmer, what stands in for trimmed clips, and a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from vmrbench.protocols import Backbone, ClipAccess, Distillable, SharesEncoder, Trimmer
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.fill import Fill, index_of
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What an arm makes of a batch: the rows the backbone read, its private outputs, and how the clips were chosen.

    reads: [B, L] how often each clip's expensive features were read.
    """

    decision: TrimDecision
    rows: Batch
    outputs: Any
    reads: Tensor


class WholeVideo(nn.Module):
    """Keeps every clip: the arm that is trained first, the teacher of all others."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep [B, L] = clip mask."""
        return TrimDecision(keep=batch.clip_mask)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms."""
        return {}


class Arm(nn.Module):
    """Trimmer, fill and backbone behind one forward; everything that is learned is a submodule.

    Labels are taken out of the batch in evaluation mode, except for a trimmer that declares to read them.
    index_channels: those of the index that the arm reads, None for all; nothing in it sees the others.
    """

    def __init__(
        self,
        trimmer: nn.Module,
        fill: Fill,
        backbone: nn.Module,
        *,
        reads_labels: bool = False,
        index_channels: Sequence[slice] | None = None,
    ) -> None:
        super().__init__()
        self.reads_labels, self.index_channels = reads_labels, index_channels
        self.trimmer, self.fill, self.backbone = trimmer, fill, backbone

    def own_index(self, batch: Batch) -> Batch:
        """The batch with the index groups that this arm reads."""
        if self.index_channels is None or batch.index is None:
            return batch
        return replace(batch, index=torch.cat([index_of(batch)[..., part] for part in self.index_channels], dim=-1))

    def access(self, batch: Batch) -> CountingAccess:
        """What the trimmer may do with the expensive side of `batch`."""
        return CountingAccess(self.own_index(batch), self.fill, self.preview_function(), training=self.training)

    def preview_function(self) -> Callable[[Batch], Tensor] | None:
        """The backbone's own encoder, None where it shares none."""
        return cast(SharesEncoder, self.backbone).encode if isinstance(self.backbone, SharesEncoder) else None

    def select(self, batch: Batch, access: CountingAccess) -> TrimDecision:
        """The trimmer's decision; it sees no expensive features but through `access`, labels only if it must."""
        shown = withhold_clips(self.own_index(batch))
        if not (self.training or self.reads_labels):
            shown = replace(shown, moments=None)
        return cast(Trimmer, self.trimmer).select(shown, access)

    def forward(self, batch: Batch) -> ArmResult:
        """Select, fetch, fill, and run the backbone's inference path."""
        access = self.access(batch)
        return self.finish(batch, access, self.select(batch, access))

    def finish(self, batch: Batch, access: CountingAccess, decision: TrimDecision) -> ArmResult:
        """Fetch, fill and run the backbone after a decision."""
        keep = decision.keep if decision.soft is None else decision.soft
        rows = access.rows(keep.to(batch.clip_start.dtype))
        if not self.training:
            rows = replace(rows, moments=None)
        return ArmResult(decision=decision, rows=rows, outputs=self.backbone(rows), reads=access.reads)

    def moments(self, result: ArmResult) -> tuple[Tensor, Tensor]:
        """Seconds [B, Q, 2] and scores [B, Q] of a result."""
        axis = cast(Backbone, self.backbone).predict(result.outputs, result.rows)
        return axis_to_seconds(axis.spans, result.rows), axis.scores

    def targets(self, result: ArmResult) -> DistillTargets | None:
        """What of a result distillation can use; None where the backbone offers nothing."""
        if not isinstance(self.backbone, Distillable):
            return None
        return self.backbone.distill_targets(result.outputs, result.rows)

    def selection_losses(self, batch: Batch, teacher: Arm | None) -> Mapping[str, Tensor]:
        """Weighted terms of the trimmer alone; the backbone runs only where the trimmer borrows its encoder."""
        decision = self.select(batch, self.access(batch))
        terms = cast(Trimmer, self.trimmer).loss(
            decision, withhold_clips(batch), student=None, teacher=_teach(teacher, batch)
        )
        return {f"trim_{name}": value for name, value in terms.items()}

    def losses(self, batch: Batch, teacher: Arm | None) -> Mapping[str, Tensor]:
        """Weighted terms of backbone and trimmer on a training batch."""
        result = self(batch)
        backbone_terms = cast(Backbone, self.backbone).loss(result.outputs, result.rows)
        student = self.targets(result) if teacher is not None else None
        trimmer_terms = cast(Trimmer, self.trimmer).loss(
            result.decision, withhold_clips(self.own_index(batch)), student=student, teacher=_teach(teacher, batch)
        )
        return {**backbone_terms, **{f"trim_{name}": value for name, value in trimmer_terms.items()}}


@torch.no_grad()
def _teach(teacher: Arm | None, batch: Batch) -> DistillTargets | None:
    return None if teacher is None else teacher.targets(teacher(batch))
