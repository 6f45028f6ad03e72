"""One arm of the comparison: a trimmer, what stands in for trimmed clips, and a backbone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from vmrbench.config.settings import WindowConfig
from vmrbench.engine.frozen import freeze_state
from vmrbench.parts.suppression import Suppression, suppress
from vmrbench.postprocess import MOST_MOMENTS
from vmrbench.protocols import Backbone, ClipAccess, Distillable, SharesEncoder, Trimmer
from vmrbench.specs import Apply
from vmrbench.trim.access import CountingAccess, withhold_clips, withhold_features
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.fill import Fill, index_of
from vmrbench.trim.gather import TakenRows, kept_rows, targets_on_timeline
from vmrbench.trim.windows import (
    Windows,
    best_windows,
    cut_windows,
    finer_of,
    merge_windows,
    training_windows,
    window_quotas,
)
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What an arm makes of a batch: the rows the backbone read, its private outputs, and how the clips were chosen.

    reads: [B, L] how often each clip's expensive features were read; taken: which rows are left, None where all are;
    windows: those that were cut, None where none were; finer_reads: [B, F] how often each finer clip was read for them.
    """

    decision: TrimDecision
    rows: Batch
    outputs: Any
    reads: Tensor
    taken: TakenRows | None = None
    windows: Windows | None = None
    finer_reads: Tensor | None = None


class WholeVideo(nn.Module):
    """Keeps every clip: the arm that is trained first, the teacher of all others."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep [B, L] = clip mask."""
        return TrimDecision(keep=batch.clip_mask, most=batch.clip_mask.shape[1])

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms."""
        return {}


class Arm(nn.Module):
    """Trimmer, fill and backbone behind one forward; everything that is learned is a submodule.

    Labels are taken out of the batch in evaluation mode, except for a trimmer that declares to read them.

    Args:
        trimmer, fill, backbone: the parts.
        reads_labels: of the trimmer's spec.
        index_channels: those of the index that the arm reads, None for all; nothing in it sees the others.
        apply: `fill`, the whole timeline stays; `gather`, rows of clips that were not kept are removed; `windows`,
            contiguous windows are read from the finer clips of the batch.
        windows: how they are cut and merged.
        freeze_backbone: the backbone keeps its weights, bit for bit, and does not drop out in training.
        train_ratios: keep ratios that training draws from, empty where it keeps to that of the trimmer's options.
        reads_features: of the backbone's spec. Where it is False no clip is kept and the backbone is shown none.
    """

    def __init__(
        self,
        trimmer: nn.Module,
        fill: Fill,
        backbone: nn.Module,
        *,
        reads_labels: bool = False,
        index_channels: Sequence[slice] | None = None,
        apply: Apply = "fill",
        windows: WindowConfig | None = None,
        freeze_backbone: bool = False,
        train_ratios: Sequence[float] = (),
        reads_features: bool = True,
    ) -> None:
        super().__init__()
        self.train_ratios = tuple(train_ratios)
        self.reads_labels, self.index_channels, self.reads_features = reads_labels, index_channels, reads_features
        self.mode, self._frozen = apply, freeze_backbone
        self.windows = (windows or WindowConfig()) if apply == "windows" else None
        self.progress = 1.0
        self.trimmer, self.fill, self.backbone = trimmer, fill, backbone
        if freeze_backbone:
            backbone.requires_grad_(False)

    @property
    def finer(self) -> int | None:
        """How many finer clips a batch must have in the time of one, None where none are read."""
        return None if self.windows is None else self.windows.finer

    def train(self, mode: bool = True) -> Self:
        """As always, but a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self._frozen and mode:
            freeze_state(self.backbone)
        return self

    def own_index(self, batch: Batch) -> Batch:
        """The batch with the index groups that this arm reads."""
        if self.index_channels is None or batch.index is None:
            return batch
        return replace(batch, index=torch.cat([index_of(batch)[..., part] for part in self.index_channels], dim=-1))

    def access(self, batch: Batch) -> CountingAccess:
        """What the trimmer may do with the expensive side of `batch`."""
        lender = self.backbone if isinstance(self.backbone, SharesEncoder) else None
        return CountingAccess(self.own_index(batch), self.fill, lender, training=self.training)

    def select(self, batch: Batch, access: CountingAccess) -> TrimDecision:
        """The trimmer's decision; it sees no expensive features but through `access`, labels only if it must."""
        if not self.reads_features:
            return TrimDecision(keep=torch.zeros_like(batch.clip_mask), most=0)
        shown = withhold_clips(self.own_index(batch))
        if not (self.training or self.reads_labels):
            shown = replace(shown, moments=None)
        return cast(Trimmer, self.trimmer).select(shown, access)

    def forward(self, batch: Batch) -> ArmResult:
        """Select, fetch, fill, and run the backbone's inference path."""
        access = self.access(batch)
        return self.finish(batch, access, self.select(batch, access))

    def finish(self, batch: Batch, access: CountingAccess, decision: TrimDecision) -> ArmResult:
        """Fetch, fill, gather or cut, and run the backbone after a decision.

        Raises:
            DataError: under `gather`, no clip of a sample is kept.
        """
        if self.windows is not None:
            return self._finish_windows(batch, access, decision, self.windows)
        keep = (decision.keep if decision.soft is None else decision.soft).to(batch.clip_start.dtype)
        taken = None if self.mode == "fill" else kept_rows(decision, batch, training=self.training)
        rows = self._shown(access.rows(keep) if taken is None else access.gathered(keep, taken))
        return ArmResult(decision=decision, rows=rows, outputs=self.backbone(rows), reads=access.reads, taken=taken)

    def _finish_windows(
        self, batch: Batch, access: CountingAccess, decision: TrimDecision, how: WindowConfig
    ) -> ArmResult:
        # What the selector itself has read comes off the budget.
        quotas = window_quotas(decision.keep.sum(1) - access.reads.sum(1), how.count)
        if self.training and self.progress < 1 - how.own_share:
            # One on the truth and as many away from it as there are at test.
            windows = training_windows(batch, torch.cat([quotas[:, :1], quotas], dim=1))
        else:
            scores = decision.keep if decision.scores is None else decision.scores
            windows = best_windows(scores, batch, quotas)
        most = batch.clip_mask.shape[1] if decision.most is None else decision.most
        cut = cut_windows(self.own_index(batch), windows, max(1, -(-most // how.count)))
        rows = self._shown(self.fill(cut, cut.clips, cut.fine_weight))
        return ArmResult(
            decision=decision,
            rows=rows,
            outputs=self.backbone(rows),
            reads=access.reads,
            windows=windows,
            finer_reads=windows.covers(finer_of(batch).mask.shape[1]),
        )

    def _shown(self, rows: Batch) -> Batch:
        shown = rows if self.training else replace(rows, moments=None)
        return shown if self.reads_features else withhold_features(shown)

    def moments(self, result: ArmResult) -> tuple[Tensor, Tensor]:
        """Seconds [B, Q, 2] and scores [B, Q] of a result."""
        axis = cast(Backbone, self.backbone).predict(result.outputs, result.rows)
        seconds = axis_to_seconds(axis.spans, result.rows)
        if result.windows is None or self.windows is None:
            return seconds, axis.scores
        merged, scores = merge_windows(seconds, axis.scores, result.windows, self.windows.weight)
        if self.windows.nms is None:
            return merged, scores
        most = min(MOST_MOMENTS, scores.shape[1])
        how = Suppression(mode="hard", moments=most, min_score=-math.inf, max_iou=self.windows.nms, voting=math.inf)
        return suppress(merged, scores, how)

    def targets(self, result: ArmResult) -> DistillTargets | None:
        """What of a result distillation can use; None where the backbone offers nothing."""
        if not isinstance(self.backbone, Distillable):
            return None
        return self.backbone.distill_targets(result.outputs, result.rows)

    def selection_losses(self, batch: Batch, teacher: Arm | None) -> Mapping[str, Tensor]:
        """Weighted terms of the trimmer alone; the backbone runs only where the trimmer borrows its encoder."""
        decision = self.select(batch, self.access(batch))
        terms = cast(Trimmer, self.trimmer).loss(
            decision, withhold_clips(self.own_index(batch)), student=None, teacher=_teach(teacher, batch)
        )
        return {f"trim_{name}": value for name, value in terms.items()}

    def losses(self, batch: Batch, teacher: Arm | None) -> Mapping[str, Tensor]:
        """Weighted terms of backbone and trimmer on a training batch."""
        result = self(batch)
        backbone_terms = cast(Backbone, self.backbone).loss(result.outputs, result.rows)
        taught = _teach(teacher, batch)
        # What a window shows has no place in what the teacher says of the whole video.
        student = None if taught is None or self.windows is not None else self.targets(result)
        if student is not None and taught is not None and result.taken is not None:
            student = targets_on_timeline(student, taught, result.taken)
        trimmer_terms = cast(Trimmer, self.trimmer).loss(
            result.decision, withhold_clips(self.own_index(batch)), student=student, teacher=taught
        )
        return {**backbone_terms, **{f"trim_{name}": value for name, value in trimmer_terms.items()}}


@torch.no_grad()
def _teach(teacher: Arm | None, batch: Batch) -> DistillTargets | None:
    return None if teacher is None else teacher.targets(teacher(batch))
